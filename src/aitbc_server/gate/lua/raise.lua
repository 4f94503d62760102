-- Gives tenants new fence tokens: whoever believes a record of theirs must read it anew.
-- KEYS: their states. ARGV: a fresh token of 16 bytes for each.
local KEEP_MS = 180000
for index, key in ipairs(KEYS) do
    if redis.call('EXISTS', key) == 1 then
        redis.call('SETRANGE', key, 0, ARGV[index])
    else
        redis.call('SET', key, ARGV[index], 'PX', KEEP_MS)
    end
end
return #KEYS
