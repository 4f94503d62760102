-- Shows where limits stand and changes nothing. Behind a prelude that sets `now_us`, and state.lua.
-- KEYS: a tenant's state and a window's, in turn; the plan's window is the tenant's key again. Returns {used, reset_us, ...}.

local function standing(window, at_us)
    local used = window[USED]
    for index = 0, window[SEALED] + 1 do
        local entries = piece(window, index)
        for at = 1, #entries, ENTRY_BYTES do
            local time_us, count = unpack_text(ENTRY, entries, at)
            if time_us > at_us - WINDOW_US then
                return used, time_us + WINDOW_US - at_us
            end
            used = used - count
        end
    end
    return 0, 0
end

local answer = {}
for at = 1, #KEYS, 2 do
    local tenant = read_tenant(KEYS[at], call('GET', KEYS[at]), '')
    local window = tenant
    if KEYS[at + 1] ~= KEYS[at] then
        window = read_window(KEYS[at + 1], call('GET', KEYS[at + 1]), tenant[ERA])
        if window[ERA] ~= tenant[ERA] then
            window = read_window(KEYS[at + 1], nil, tenant[ERA])
        end
    end
    local used, reset_us = standing(window, math.max(now_us, tenant[LAST]))
    answer[#answer + 1] = used
    answer[#answer + 1] = reset_us
end
return cmsgpack.pack(answer)
