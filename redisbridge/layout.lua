-- Writes the layout of a namespace if there is none, or if that of another
-- process is younger than ours.
--
-- KEYS  1 layout
-- ARGV  1 format  2 partitions  3 since when ours is laid out, µs; "" if it is not
--
-- Returns format, partitions, since, the time of now, and the name of a field
-- that nobody of us has written ("" if there is none), all as text. A layout
-- with such a field is none. None is looked at that is longer than ours can be.

local t = redis.call('TIME')
local now = string.format('%.0f%06d', tonumber(t[1]), tonumber(t[2]))

local malformed = ''
local function number(field)
  local isLong = redis.call('HSTRLEN', KEYS[1], field) > 16
  local text = not isLong and redis.call('HGET', KEYS[1], field)
  if isLong or text and not string.match(text, '^%d+$') then
    malformed = field
    return false
  end
  return text
end

local have = {number('format'), number('partitions'), number('since')}
local isOlder = ARGV[3] ~= '' and have[3] and tonumber(ARGV[3]) < tonumber(have[3])
if not have[1] or not have[2] or not have[3] or isOlder then
  have = {ARGV[1], ARGV[2], ARGV[3] ~= '' and ARGV[3] or now}
  redis.call('HSET', KEYS[1], 'format', have[1], 'partitions', have[2], 'since', have[3])
end
return {have[1], have[2], have[3], now, malformed}
