-- Tells what a reader is to compare itself with.
--
-- KEYS  1 stream  2 ID of the last entry that a writer has written
-- ARGV  1 how long to keep a stream that is made, ms
--       2 the place of the reader  3… places that were there before, latest first
--
-- Returns the epoch of the stream, the last ID given out, the ID of the oldest
-- entry ("" if there is none), the greatest ID deleted by hand ("" if unknown),
-- whether ARGV 2 is there, which of ARGV 3… is there (1 for the first, 0 for
-- none), entries ever added (-1 if unknown), entries, the time in ms, and the ID
-- after which Now begins: the last one, unless a stranger has given that out, of
-- the future, and a writer will take it away. Whoever finds no stream makes one.

local t = redis.call('TIME')

local function epoch()
  local smallest
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local name = group[2]
    if string.match(name, '^%d+$') and #name == 16 and (not smallest or name < smallest) then
      smallest = name
    end
  end
  return smallest
end

local found = redis.call('EXISTS', KEYS[1]) == 1 and epoch()
if not found then
  found = string.format('%010.0f%06d', tonumber(t[1]), tonumber(t[2]))
  redis.call('XGROUP', 'CREATE', KEYS[1], found, '0', 'MKSTREAM')
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end

local length = redis.call('XLEN', KEYS[1])
local added, last, deleted, first = -1, '', '', ''
local info = redis.pcall('XINFO', 'STREAM', KEYS[1])
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then last = info[i + 1] end
  if info[i] == 'max-deleted-entry-id' then deleted = info[i + 1] end
  if info[i] == 'entries-added' then added = info[i + 1] end
end
if length > 0 then
  first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][1]
  if last == '' then last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1][1] end
end
if last == '' then last = ARGV[2] end -- a server that does not tell

local function is_there(id) return #redis.call('XRANGE', KEYS[1], id, id, 'COUNT', 1) > 0 end

local anchor = 0
for i = 3, #ARGV do
  if is_there(ARGV[i]) then
    anchor = i - 2
    break
  end
end
local function ms(id) return tonumber(string.match(id, '^(%d+)') or '0') end
local time = t[1] * 1000 + math.floor(t[2] / 1000)
local ours, begin = redis.call('GET', KEYS[2]) or '', last
if ms(last) > math.max(time, ms(ours)) + 60000 then
  begin = ours ~= '' and ours or string.format('%.0f-0', time)
end
return {found, last, first, deleted, begin, is_there(ARGV[2]) and 1 or 0, anchor, added, length, string.format('%.0f', time)}
