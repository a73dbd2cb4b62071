-- Tells what a reader is to compare itself with. Most of it costs as much as the
-- first and the last entry are large and as there are consumer groups, whoever
-- has made those; who finds everything where it was needs none of it.
--
-- KEYS  1 stream  2 ID of the last entry that a writer has written  3 epoch
-- ARGV  1 how long to keep what is made, ms
--       2 "brief" if it is enough that nothing has changed, or ""
--       3 the epoch that the reader knows, or ""
--       4 the place of the reader  5… places that were there before, latest first
--
-- Returns the epoch of the stream ("" if it is the one that the reader knows,
-- for one of the places is there, or the group that is named like it), the last ID given out, the ID of the oldest
-- entry ("" if there is none), the greatest ID deleted by hand ("" if unknown),
-- the ID after which Now begins: the last one, unless a stranger has given that
-- out, of the future, and a writer will take it away; whether ARGV 4 is there,
-- which of ARGV 5… is there (1 for the first, 0 for none), entries ever added (-1
-- if unknown), entries, the time in ms, and about how many bytes Redis went
-- through; or nothing but the time. Whoever finds no stream makes one.

local time, seen = string.format('%.0f', now), 0

local function see(entry)
  if type(entry) ~= 'table' then return end
  seen = seen + size_of(entry)
  return entry[1]
end

local is_made = is_stream(KEYS[1])

local function is_there(id) return see(redis.call('XRANGE', KEYS[1], id, id, 'COUNT', 1)[1]) end

local here, anchor = is_there(ARGV[4]), 0
for i = 5, #ARGV do
  if is_there(ARGV[i]) then
    anchor = i - 4
    break
  end
end
if ARGV[2] == 'brief' and here and anchor == 1 then
  return {time}
end

-- The epoch stands in a key, too, so that nobody looks through all groups for it
-- but after that was lost. A group of that name proves it.
local function find()
  local epoch = text_at(KEYS[3])
  if is_made and epoch and is_epoch(epoch) and has_group(KEYS[1], epoch) then return epoch end
  epoch = is_made and epoch_of(KEYS[1]) or make(KEYS[1], ARGV[1])
  redis.call('SET', KEYS[3], epoch, 'PX', ARGV[1])
  return epoch
end

local found = ''
if anchor == 0 and not (is_made and ARGV[3] ~= '' and has_group(KEYS[1], ARGV[3])) then found = find() end

local length, told = redis.call('XLEN', KEYS[1]), describe(KEYS[1])
local added, deleted = told['entries-added'] or -1, told['max-deleted-entry-id'] or ''
local last, first = told['last-generated-id'] or '', see(told['first-entry'])
see(told['last-entry'])
if length > 0 then
  first = first or redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][1]
  if last == '' then last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1][1] end
end
if last == '' then last = ARGV[4] end -- a server that does not tell

local begin = last
if ms(last) > now + 60000 then
  local ours = last_written(KEYS[1], KEYS[2])
  if ms(last) > ms(ours) + 60000 then
    begin = ours ~= '' and ours or string.format('%.0f-18446744073709551615', now - 1) -- no entry has that
  end
end
return {found, last, first or '', deleted, begin, here and 1 or 0, anchor, added, length, time, seen}
