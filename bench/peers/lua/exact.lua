-- The same exact-window script that the server uses, with one request a call: limit and usage count together.
-- A key's request is made beforehand; only the deadline is put before it here.
local ffi = require 'ffi'
local answer = require 'answer'
local known = require 'known_keys'
local call = require 'valkey_call'

local DEADLINE_S = 0.25

local made_at_s, made = 0, ''
local double = ffi.new('double[1]')

-- The script wants a double, the low byte first.
local function deadline()
    local now_s = ngx.now()
    if now_s ~= made_at_s then
        double[0] = (now_s + DEADLINE_S) * 1000000
        made_at_s, made = now_s, ffi.string(double, 8)
    end
    return made
end

-- The non-negative integer at `at` of a MessagePack text, and where the next value begins.
local function number(text, at)
    local kind = text:byte(at)
    if kind < 0x80 then
        return kind, at + 1
    end
    local value, size = 0, 2 ^ (kind - 0xcc)
    for index = 1, size do
        value = value * 256 + text:byte(at + index)
    end
    return value, at + 1 + size
end

-- {now_us, 1, remaining, reset_us} or {now_us, 2, retry_after_us, remaining, reset_us}; nil where nothing was decided.
local function verdict(reply)
    if reply:byte(1) == 0x91 then
        return nil
    end
    local _, at = number(reply, 2)
    local status, remaining, reset_us
    status, at = number(reply, at)
    if status == 2 then
        _, at = number(reply, at)
    end
    remaining, at = number(reply, at)
    reset_us = number(reply, at)
    return status, remaining, math.ceil(reset_us / 1000000)
end

return function()
    local key = known[ngx.var.http_x_api_key]
    if not key then
        return answer.wrong_key()
    end
    local reply, why = call(key.tenant, deadline() .. key.behind_deadline, key.request)
    if not reply then
        return answer.unavailable(why)
    end
    local status, remaining, reset_s = verdict(reply)
    if not status then
        return answer.unavailable('the script decided nothing')
    end
    return answer.decided(status == 1, remaining, reset_s)
end
