-- Trims a stream by age and keeps its keys.
--
-- KEYS  1 stream  2 ID of the last entry  3 last sequence of the origin
-- ARGV  1 how long to keep entries, ms  2 how long to keep the keys, ms

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, ARGV[2])
end
return redis.call('XTRIM', KEYS[1], 'MINID', string.format('%.0f-0', math.max(0, now - tonumber(ARGV[1]))))
