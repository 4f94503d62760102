-- For Valkey. KEYS[1]: the tenant's theoretical arrival time. ARGV: limit, window in microseconds.
-- Returns {1 allowed or 0, remaining, seconds until it is whole again}.
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local limit, window_us = tonumber(ARGV[1]), tonumber(ARGV[2])
local interval_us = window_us / limit
local arrival_us = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now_us)
local allowed = arrival_us + interval_us - now_us <= window_us
if allowed then
    arrival_us = arrival_us + interval_us
    redis.call('SET', KEYS[1], string.format('%.0f', arrival_us), 'PX', 60000)
end
local ahead_us = arrival_us - now_us
return {allowed and 1 or 0, math.floor((window_us - ahead_us) / interval_us), math.ceil(ahead_us / 1000000)}
