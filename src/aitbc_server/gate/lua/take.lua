-- Takes the limits of a batch of requests, all of a request's or none, and counts each decision: one call, one moment.
--
-- Before this text stand a prelude that sets `now_us`, the server's clock or a test's, and state.lua.
-- KEYS: the state of each tenant and of each key's own window that a request speaks of, all in one hash slot.
-- ARGV[1]: deadline_us (double), candidate (16 bytes), beginning of the run (12 bytes)
-- ARGV[2]: the requests, one behind the other, integers little-endian and, but for the cost, without a sign
--   cost (4 bytes), counted_for (2): index in KEYS of the tenant that it is counted for, 0: it is not counted
--   numbers of limits, of fences, of bytes of the subject and of the field (1 each)
--   first limit: tenant index (2), window index (2), limit (4); the plan's window is the tenant's index again
--   first fence: tenant index (2), expected token (16)
--   the other limits, the other fences; the first ones are zeros where there is none
--   cost below 0: what would become of a request for so much is answered, and nothing is taken
--   field: "environment|kid|operation|outcome", of which the subject is what comes before the outcome
-- Returns, MessagePack: {now_us, answer ..., answer ...}; now_us alone where the call ran after its deadline, and then
-- nothing happened.
--   answer: 0, token, ... a fence was not as expected: nothing was taken or counted; the present tokens
--           1, remaining, reset_us, ... allowed      2, retry_after_us, remaining, reset_us, ... refused

local deadline_us, candidate, run = unpack_text('<dc16c12', ARGV[1])
if now_us > deadline_us then
    return cmsgpack.pack({now_us})
end

local REQUEST = '<i4I2I1I1I1I1I2I2I4I2c16'
local LIMIT, LIMIT_BYTES, EXPECTED, EXPECTED_BYTES = '<I2I2I4', 8, '<I2c16', 18
local FULL = 16 * ENTRY_BYTES

local max = math.max
local moment = pack('<I4c12', math.floor(now_us / MINUTE_US), run)
local stored = call('MGET', unpack(KEYS))
local tenants, own_windows = {}, {}
local requests = ARGV[2]
local answers, answered = {now_us}, 1

local function open_tenant(index)
    local tenant = tenants[index]
    if not tenant then
        tenant = read_tenant(KEYS[index], stored[index], candidate)
        tenants[index] = tenant
    end
    return tenant
end

local function start_anew(window)
    if window[SEALED] > 0 then
        call('DEL', list_key(window))
    end
    window[USED], window[SEALED], window[HEAD], window[TAIL] = 0, 0, '', ''
end

-- The tenant's time never runs backwards: a step back holds it still for at most 60 s, then it starts anew.
local function hold(tenant)
    local reading_us, held_us = unpack_text('<dd', tenant[HOLD])
    if reading_us > 0 and now_us > reading_us then
        held_us = held_us + now_us - reading_us
    end
    tenant[HOLD] = pack('<dd', now_us, held_us)
    if held_us >= WINDOW_US then
        tenant[LAST], tenant[HOLD] = now_us, NOT_HELD
        tenant[ERA] = tenant[ERA] + 1
        start_anew(tenant)
    end
end

local function open_own_window(index, era)
    local window = own_windows[index]
    if not window then
        window = read_window(KEYS[index], stored[index], era)
        own_windows[index] = window
    end
    if window[ERA] ~= era then
        start_anew(window)
        window[ERA] = era
    end
    return window
end

local function sum(entries)
    local total = 0
    for at = 1, #entries, ENTRY_BYTES do
        local _, count = unpack_text(ENTRY, entries, at)
        total = total + count
    end
    return total
end

-- Forgets what has left the window; something has.
local function evict(window, edge_us)
    local used = window[USED]
    while true do
        local head, at = window[HEAD], 1
        while at < #head do
            local time_us, count = unpack_text(ENTRY, head, at)
            if time_us > edge_us then
                window[OLDEST], window[USED], window[HEAD] = time_us, used, sub(head, at)
                return
            end
            used = used - count
            at = at + ENTRY_BYTES
        end
        local sealed = window[SEALED] > 0 and call('LPOP', list_key(window))
        if sealed then
            window[HEAD], window[SEALED] = sealed, window[SEALED] - 1
        else
            -- A list expires before the state that speaks of it, long after its entries: what is left is the tail.
            used = window[SEALED] > 0 and sum(window[TAIL]) or used
            window[HEAD], window[SEALED], window[TAIL] = window[TAIL], 0, ''
        end
        if window[HEAD] == '' then
            window[USED] = 0
            return
        end
    end
end

-- After what time so much of what is counted has left the window.
local function wait_us(window, at_us, deficit)
    for index = 0, window[SEALED] + 1 do
        local entries = piece(window, index)
        for at = 1, #entries, ENTRY_BYTES do
            local time_us, count = unpack_text(ENTRY, entries, at)
            deficit = deficit - count
            if deficit <= 0 then
                return time_us + WINDOW_US - at_us
            end
        end
    end
    return WINDOW_US
end

local function record(window, at_us, cost)
    if window[USED] == 0 then
        window[OLDEST] = at_us
    end
    window[USED] = window[USED] + cost
    local tail = window[TAIL]
    if window[NEWEST] == at_us and tail ~= '' then
        local _, count = unpack_text(ENTRY, tail, #tail - ENTRY_BYTES + 1)
        window[TAIL] = sub(tail, 1, #tail - ENTRY_BYTES) .. pack(ENTRY, at_us, count + cost)
        return
    end
    window[NEWEST] = at_us
    if #tail >= FULL then
        if call('RPUSH', list_key(window), tail) > window[SEALED] + 1 then
            -- A call that broke off in a slot that was moving has left a piece behind which nobody counted.
            if window[SEALED] == 0 then
                call('DEL', list_key(window))
            else
                call('LTRIM', list_key(window), 0, window[SEALED] - 1)
            end
            call('RPUSH', list_key(window), tail)
        end
        call('PEXPIRE', list_key(window), KEEP_MS)
        window[SEALED] = window[SEALED] + 1
        tail = ''
    end
    window[TAIL] = tail .. pack(ENTRY, at_us, cost)
end

local function count(tenant, field)
    if field ~= tenant[FIELD] or moment ~= tenant[MOMENT] then
        settle_cell(tenant)
        tenant[MOMENT], tenant[FIELD], tenant[IS_BEGUN] = moment, field, true
    end
    tenant[CELL_COUNT] = tenant[CELL_COUNT] + 1
end

local function answer(value)
    answered = answered + 1
    answers[answered] = value
end

local function tell_kind(retry_us)
    if retry_us == 0 then
        answer(1)
    else
        answer(2)
        answer(retry_us)
    end
end

local function others_are_stale(number, at)
    for each = at, at + (number - 2) * EXPECTED_BYTES, EXPECTED_BYTES do
        local index, token = unpack_text(EXPECTED, requests, each)
        if open_tenant(index)[FENCE] ~= token then
            return true
        end
    end
    return false
end

local function tell_fences(first, number, at)
    answer(0)
    answer(open_tenant(first)[FENCE])
    for each = at, at + (number - 2) * EXPECTED_BYTES, EXPECTED_BYTES do
        answer(open_tenant((unpack_text(EXPECTED, requests, each)))[FENCE])
    end
end

-- How long the request has to wait for one of its limits, 0 where it may pass; the window, and the tenant's time.
local function judge(cost, index, window_index, limit)
    local tenant = open_tenant(index)
    tenant[IS_USED] = true
    if now_us < tenant[LAST] then
        hold(tenant)
    else
        tenant[LAST], tenant[HOLD] = now_us, NOT_HELD
    end
    local at_us = tenant[LAST]
    local window = index == window_index and tenant or open_own_window(window_index, tenant[ERA])
    if window[OLDEST] <= at_us - WINDOW_US and window[USED] > 0 then
        evict(window, at_us - WINDOW_US)
    end
    local deficit = window[USED] + cost - limit
    return deficit > 0 and cost > 0 and wait_us(window, at_us, deficit) or 0, window, at_us
end

-- Takes from one limit what may pass, and says where it stands.
local function settle(window, at_us, limit, cost)
    if cost > 0 then
        record(window, at_us, cost)
    end
    local used = window[USED]
    answers[answered + 1] = used < limit and limit - used or 0
    answered = answered + 2
    answers[answered] = used > 0 and window[OLDEST] + WINDOW_US - at_us or 0
end

-- The same for a request that has other limits than one.
local function take_all(cost, taken, number, index, window_index, limit, at)
    local judged = {}
    local retry_us = 0
    for each = 1, number do
        if each > 1 then
            index, window_index, limit, at = unpack_text(LIMIT, requests, at)
        end
        local its_us, window, at_us = judge(cost, index, window_index, limit)
        retry_us = max(retry_us, its_us)
        judged[each] = {window, at_us, limit}
    end
    tell_kind(retry_us)
    for _, each in ipairs(judged) do
        settle(each[1], each[2], each[3], retry_us == 0 and taken or 0)
    end
    return retry_us
end

local at, size = 1, #requests
while at <= size do
    local cost, counted_for, limit_number, fence_number, subject_bytes, field_bytes, index, window_index, limit, fenced, token
    cost, counted_for, limit_number, fence_number, subject_bytes, field_bytes, index, window_index, limit, fenced, token, at =
        unpack_text(REQUEST, requests, at)
    local fences_at = limit_number > 1 and at + (limit_number - 1) * LIMIT_BYTES or at
    local field_at = fence_number > 1 and fences_at + (fence_number - 1) * EXPECTED_BYTES or fences_at
    if fence_number > 0 and open_tenant(fenced)[FENCE] ~= token
        or fence_number > 1 and others_are_stale(fence_number, fences_at) then
        tell_fences(fenced, fence_number, fences_at)
    else
        local retry_us
        local taken = cost
        if cost < 0 then
            cost, taken = -cost, 0
        end
        if limit_number == 1 then
            local window, at_us
            retry_us, window, at_us = judge(cost, index, window_index, limit)
            tell_kind(retry_us)
            settle(window, at_us, limit, retry_us == 0 and taken or 0)
        else
            retry_us = take_all(cost, taken, limit_number, index, window_index, limit, at)
        end
        if counted_for > 0 then
            local tenant = open_tenant(counted_for)
            tenant[IS_USED] = true
            if retry_us == 0 then
                count(tenant, sub(requests, field_at, field_at + field_bytes - 1))
            else
                count(tenant, sub(requests, field_at, field_at + subject_bytes - 1) .. 'rate_limit_exceeded')
            end
        end
    end
    at = field_at + field_bytes
end

for _, tenant in pairs(tenants) do
    if tenant[IS_USED] then
        write_tenant(tenant)
    elseif tenant[BYTES] == 0 then
        call('SET', tenant[KEY], tenant[FENCE], 'PX', KEEP_MS)
    end
end
for _, window in pairs(own_windows) do
    write_window(window)
end
return cmsgpack.pack(answers)
