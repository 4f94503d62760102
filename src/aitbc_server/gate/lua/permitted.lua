-- Calls every command that our scripts call, on a key that nobody has: whether the user may is told by its error.
-- KEYS: a key. It is gone when the call is over.
local key, call = KEYS[1], redis.call
call('TIME')
call('DEL', key)
call('SET', key, 'text', 'PX', 1000)
call('SETRANGE', key, 0, 'T')
call('GET', key)
call('MGET', key)
call('EXISTS', key)
call('PEXPIRE', key, 1000)
call('DEL', key)
call('RPUSH', key, 'piece', 'piece')
call('LINDEX', key, 0)
call('LTRIM', key, 0, 0)
call('LPOP', key)
call('SADD', key, 'member')
call('SMEMBERS', key)
call('SREM', key, 'member')
call('HINCRBY', key, 'field', 1)
call('HGETALL', key)
call('EXPIRE', key, 1)
call('DEL', key)
return 1
