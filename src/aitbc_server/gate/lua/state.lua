-- How a tenant's state is kept: one string, so that a turn reads the states of all its tenants in one MGET.
--
--   fence token (16 bytes), moment of the cell, held, era, last_us, window of the plan without its entries,
--   cell_count, field of the cell, head, tail, room to grow
--   held:   while the clock stands still, its last reading and for how long it has been held (16 bytes)
--   era:    how often the clock started anew, and the tenant's windows with it
--   window: oldest_us, used, sealed, head, tail
--   cell:   count, moment (16 bytes: minute, beginning of the run), field
--
-- A window's entries are (time, count) each. The tail holds the newest; a full tail is sealed: pushed as a whole to the
-- window's list, which has `sealed` elements. The head holds the oldest: the list's first element, taken out of it, less
-- what has left the window. A key's own window is a string by itself, behind the era that it belongs to. The usage cell
-- is the count that went up last; it reaches the hash of its minute and run when another one does, or when somebody
-- drains.
--
-- Windows and tenants are arrays: they are made for every request, and names would have to be hashed for each. Numbers
-- that are arguments of commands are text for the same reason.

local KEEP_MS = '180000'
local USAGE_KEEP_S = '172800'
local USAGE_KEEP_MS = '172800000'
local TOKEN, BEHIND_TOKEN = 16, '16'
local WINDOW_US, MINUTE_US = 60000000, 60000000
local ENTRY, ENTRY_BYTES = '<dI4', 12
local WINDOW = '<I4dI4I4I2c0I2c0'
local TENANT = '<c16c16c16I4ddI4I4I4I1c0I2c0I2c0'
local BEHIND_FENCE = '<c16c16I4ddI4I4I4I1c0I2c0I2c0'
-- What is not longer than before is written into its place, which is quicker than to put a new text there.
local ROOM = string.rep('\0', 8 * ENTRY_BYTES)
local NOT_HELD = string.rep('\0', 16)
local NO_MOMENT = NOT_HELD

local pack, unpack_text, sub, call = struct.pack, struct.unpack, string.sub, redis.call

-- A tenant is the window of its plan and more. Newest_us: what was recorded last by this call, 0 where nothing was.
local OLDEST, USED, SEALED, HEAD, TAIL, KEY, ERA, NEWEST = 1, 2, 3, 4, 5, 6, 7, 8
local FENCE, LAST, HOLD, CELL_COUNT, MOMENT, FIELD = 9, 10, 11, 12, 13, 14
-- Of a tenant: how long the stored text is, whether the state has changed, whether its cell has begun anew.
local BYTES, IS_USED, IS_BEGUN = 15, 16, 17

local function list_key(window)
    return window[KEY] .. ':sealed'
end

local function read_window(key, text, era)
    if not text then
        return {0, 0, 0, '', '', key, era, 0}
    end
    local its_era, oldest_us, used, sealed, head, tail = unpack_text(WINDOW, text)
    return {oldest_us, used, sealed, head, tail, key, its_era, 0}
end

local function write_window(window)
    local head, tail = window[HEAD], window[TAIL]
    local state = pack(
        WINDOW, window[ERA], window[OLDEST], window[USED], window[SEALED], #head, head, #tail, tail
    )
    call('SET', window[KEY], state, 'PX', KEEP_MS)
end

-- `candidate` becomes the fence of a tenant without a state: nobody can know it, so that whoever believes anything of
-- the tenant reads it anew.
local function read_tenant(key, text, candidate)
    if not text or #text <= TOKEN then
        return {
            0, 0, 0, '', '', key, 0, 0,
            text or candidate, 0, NOT_HELD, 0, NO_MOMENT, '', text and TOKEN or 0, false, false,
        }
    end
    local fence, moment, held, era, last_us, oldest_us, used, sealed, cell_count, field, head, tail =
        unpack_text(TENANT, text)
    return {
        oldest_us, used, sealed, head, tail, key, era, 0,
        fence, last_us, held, cell_count, moment, field, #text, false, false,
    }
end

local function write_tenant(tenant)
    local field, head, tail = tenant[FIELD], tenant[HEAD], tenant[TAIL]
    local state = pack(
        BEHIND_FENCE, tenant[MOMENT], tenant[HOLD], tenant[ERA], tenant[LAST], tenant[OLDEST], tenant[USED],
        tenant[SEALED], tenant[CELL_COUNT], #field, field, #head, head, #tail, tail
    )
    if tenant[CELL_COUNT] == 0 then
        call('SET', tenant[KEY], tenant[FENCE] .. state, 'PX', KEEP_MS)
    elseif tenant[IS_BEGUN] then
        -- A count that is not in its hash yet must not vanish with a tenant that falls silent.
        call('SET', tenant[KEY], tenant[FENCE] .. state .. ROOM, 'PX', USAGE_KEEP_MS)
    elseif TOKEN + #state > tenant[BYTES] then
        -- A cell lasts no longer than its minute, so that nearly all of that time is left.
        call('SET', tenant[KEY], tenant[FENCE] .. state .. ROOM, 'KEEPTTL')
    else
        call('SETRANGE', tenant[KEY], BEHIND_TOKEN, state)
    end
end

-- A window's entries, oldest first, in pieces: index 0 is the head, sealed + 1 the tail.
local function piece(window, index)
    if index == 0 then
        return window[HEAD]
    elseif index > window[SEALED] then
        return window[TAIL]
    end
    return call('LINDEX', list_key(window), index - 1) or ''
end

local function minute_and_run_of(tenant)
    local minute, run = unpack_text('<I4c12', tenant[MOMENT])
    return string.format('%.0f:', minute * MINUTE_US) .. run
end

local function settle_cell(tenant)
    if tenant[CELL_COUNT] == 0 then
        return
    end
    local minute_and_run = minute_and_run_of(tenant)
    local key = tenant[KEY] .. ':use:' .. minute_and_run
    if call('HINCRBY', key, tenant[FIELD], tenant[CELL_COUNT]) == tenant[CELL_COUNT] then
        call('EXPIRE', key, USAGE_KEEP_S)
        call('SADD', tenant[KEY] .. ':uses', minute_and_run)
        call('EXPIRE', tenant[KEY] .. ':uses', USAGE_KEEP_S)
    end
    tenant[CELL_COUNT], tenant[MOMENT], tenant[FIELD] = 0, NO_MOMENT, ''
end

