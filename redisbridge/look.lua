-- Tells what a reader is to compare itself with. Most of it costs as much as the
-- first and the last entry are large and as there are consumer groups, whoever
-- has made those; who finds everything where it was needs none of it.
--
-- KEYS  1 stream  2 ID of the last entry that a writer has written
-- ARGV  1 how long to keep a stream that is made, ms
--       2 "brief" if it is enough that nothing has changed, or ""
--       3 the place of the reader  4… places that were there before, latest first
--
-- Returns the epoch of the stream ("" if one of the places is there: then it is
-- the one that the reader knows), the last ID given out, the ID of the oldest
-- entry ("" if there is none), the greatest ID deleted by hand ("" if unknown),
-- the ID after which Now begins: the last one, unless a stranger has given that
-- out, of the future, and a writer will take it away; whether ARGV 3 is there,
-- which of ARGV 4… is there (1 for the first, 0 for none), entries ever added (-1
-- if unknown), entries, the time in ms, and about how many bytes Redis went
-- through; or nothing but the time. Whoever finds no stream makes one.

local time, seen = string.format('%.0f', now), 0

local function see(entry)
  if type(entry) ~= 'table' then return end
  for _, field in ipairs(entry[2]) do seen = seen + #field + 16 end
  return entry[1]
end

is_stream(KEYS[1])

local function is_there(id) return see(redis.call('XRANGE', KEYS[1], id, id, 'COUNT', 1)[1]) end

local here, anchor = is_there(ARGV[3]), 0
for i = 4, #ARGV do
  if is_there(ARGV[i]) then
    anchor = i - 3
    break
  end
end
if ARGV[2] == 'brief' and here and anchor == 1 then
  return {time}
end

local found = '' -- it is the one that it was
if anchor == 0 then
  local epoch, groups = epoch_of(KEYS[1])
  found = epoch or make(KEYS[1], ARGV[1])
  seen = seen + 1000 * (groups or 0)
end

local length, told = redis.call('XLEN', KEYS[1]), describe(KEYS[1])
local added, deleted = told['entries-added'] or -1, told['max-deleted-entry-id'] or ''
local last, first = told['last-generated-id'] or '', see(told['first-entry'])
see(told['last-entry'])
if length > 0 then
  first = first or redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][1]
  if last == '' then last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1][1] end
end
if last == '' then last = ARGV[3] end -- a server that does not tell

local begin = last
if ms(last) > now + 60000 then
  local ours = last_written(KEYS[1], KEYS[2])
  if ms(last) > ms(ours) + 60000 then
    begin = ours ~= '' and ours or string.format('%.0f-18446744073709551615', now - 1) -- no entry has that
  end
end
return {found, last, first or '', deleted, begin, here and 1 or 0, anchor, added, length, time, seen}
