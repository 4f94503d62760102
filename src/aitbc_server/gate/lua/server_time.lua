-- The prelude of scripts that decide: the server's own clock, in microseconds.
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
