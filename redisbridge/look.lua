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

local found = epoch_of(KEYS[1]) or make(KEYS[1], ARGV[1])

local length, told, first = redis.call('XLEN', KEYS[1]), describe(KEYS[1]), ''
local added, deleted = told['entries-added'] or -1, told['max-deleted-entry-id'] or ''
local last = told['last-generated-id'] or ''
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
local begin = last
if ms(last) > now + 60000 then
  local ours = last_written(KEYS[1], KEYS[2])
  if ms(last) > ms(ours) + 60000 then
    begin = ours ~= '' and ours or string.format('%.0f-18446744073709551615', now - 1) -- no entry has that
  end
end
return {found, last, first, deleted, begin, is_there(ARGV[2]) and 1 or 0, anchor, added, length, string.format('%.0f', now)}
