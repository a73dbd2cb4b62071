-- Writes the layout of a namespace if there is none, or if that of another
-- process is younger than ours.
--
-- KEYS  1 layout
-- ARGV  1 format  2 partitions  3 since when ours is laid out, µs; "" if it is not
--
-- Returns format, partitions, since, and the time of now, all as text.

local t = redis.call('TIME')
local now = string.format('%.0f%06d', tonumber(t[1]), tonumber(t[2]))
local have = redis.call('HMGET', KEYS[1], 'format', 'partitions', 'since')
local older = ARGV[3] ~= '' and tonumber(ARGV[3]) < (tonumber(have[3] or '') or 0)
if not have[1] or not have[2] or older then
  have = {ARGV[1], ARGV[2], ARGV[3] ~= '' and ARGV[3] or now}
  redis.call('HSET', KEYS[1], 'format', have[1], 'partitions', have[2], 'since', have[3])
end
return {have[1], have[2], have[3] or '0', now}
