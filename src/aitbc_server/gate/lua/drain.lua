-- Hands out the usage counts of tenants, and forgets those that were stored for good. Behind state.lua.
--
-- KEYS: states of tenants. ARGV[1], MessagePack, for each of them: {minute:run, sum, ...}: counts of so much in all are
-- stored, of a minute and run that are over. What has gone up since is kept.
-- Returns, MessagePack, for each tenant: {minute:run, {field, count, ...}, ...}: cumulative, so that storing the larger
-- number counts nothing twice. Unless something is forgotten nothing is written: whoever drains takes no time twice.

local function add_cell(tenant, counts)
    local name = minute_and_run_of(tenant)
    for at = 1, #counts, 2 do
        if counts[at] == name then
            local fields = counts[at + 1]
            for each = 1, #fields, 2 do
                if fields[each] == tenant[FIELD] then
                    fields[each + 1] = fields[each + 1] + tenant[CELL_COUNT]
                    return
                end
            end
            fields[#fields + 1] = tenant[FIELD]
            fields[#fields + 1] = tenant[CELL_COUNT]
            return
        end
    end
    counts[#counts + 1] = name
    counts[#counts + 1] = {tenant[FIELD], tenant[CELL_COUNT]}
end

local function counts_of(tenant)
    local counts = {}
    for _, name in ipairs(call('SMEMBERS', tenant[KEY] .. ':uses')) do
        local fields = call('HGETALL', tenant[KEY] .. ':use:' .. name)
        for each = 2, #fields, 2 do
            fields[each] = tonumber(fields[each])
        end
        counts[#counts + 1] = name
        counts[#counts + 1] = fields
    end
    if tenant[CELL_COUNT] > 0 then
        add_cell(tenant, counts)
    end
    return counts
end

local function sum(fields)
    local total = 0
    for each = 2, #fields, 2 do
        total = total + fields[each]
    end
    return total
end

local function forget(tenant, name)
    call('DEL', tenant[KEY] .. ':use:' .. name)
    call('SREM', tenant[KEY] .. ':uses', name)
    if tenant[CELL_COUNT] > 0 and minute_and_run_of(tenant) == name then
        tenant[CELL_COUNT], tenant[MOMENT], tenant[FIELD] = 0, NO_MOMENT, ''
        write_tenant(tenant)
    end
end

local stored = cmsgpack.unpack(ARGV[1])
local texts = call('MGET', unpack(KEYS))
local answer = {}
for index, key in ipairs(KEYS) do
    local tenant = read_tenant(key, texts[index], '')
    local counts, left = counts_of(tenant), {}
    local over = {}
    for at = 1, #stored[index], 2 do
        over[stored[index][at]] = stored[index][at + 1]
    end
    for at = 1, #counts, 2 do
        if over[counts[at]] == sum(counts[at + 1]) then
            forget(tenant, counts[at])
        else
            left[#left + 1] = counts[at]
            left[#left + 1] = counts[at + 1]
        end
    end
    answer[index] = left
end
return cmsgpack.pack(answer)
