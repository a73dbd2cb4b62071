package storetest

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
)

// A Disk is a simulated disk with files that grow at their end. What has been
// written is read back at once and is safe after a Sync of the file. When the
// power is lost, of everything that is not safe some is there and some is not, in
// no order: files are too short, sectors in them are zero or half written, new
// files are not there, removed ones are there again. Renaming and shortening a
// file is safe at once.
//
// Its methods may be called from any goroutine. All that happens by chance
// follows from the seed.
type Disk struct {
	mu       sync.Mutex
	random   *rand.Rand
	files    map[string]*inode
	removed  map[string]*inode // since the last restart
	room     int               // bytes that may still be written; negative: as many as one likes
	steps    int               // writes, syncs and changes of names so far
	cutAt    int               // step in which the power is lost; 0: none
	syncs    int               // so far
	badSync  int               // which fails; 0: none
	off      bool              // until the next restart
	lifetime int               // restarts so far; handles of an earlier one are dead
	open     *Engine           // the engine on it
}

// An inode is what is in a file.
type inode struct {
	data []byte
	safe int      // data up to here survives
	lost []region // safe to all appearance, and not on the disk: of a Sync that failed
	new  bool     // not a single Sync yet
}

type region struct{ from, to int }

// ErrPowerLoss is returned by everything from the power loss until Restart, and
// after it to those who opened a file before.
var ErrPowerLoss = errors.New("storetest: the power is out")

// errIO is what a sync fails with.
var errIO = fmt.Errorf("storetest: sync: %w", syscall.EIO)

// NewDisk returns an empty disk.
func NewDisk(seed uint64) *Disk {
	return &Disk{
		random: rand.New(rand.NewPCG(seed, 1)), room: -1,
		files: make(map[string]*inode), removed: make(map[string]*inode),
	}
}

// CutPower has the power go out in the middle of the nth write, sync or change of
// a name from now; 1 is the next.
func (d *Disk) CutPower(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cutAt = d.steps + n
}

// FailSync has the nth sync from now fail, and nothing else. As on Linux, what it
// was to make safe is read back until a restart, never reaches the disk, and the
// next sync knows nothing of it.
func (d *Disk) FailSync(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.badSync = d.syncs + n
}

// SetRoom lets so many more bytes be written; a write that does not fit is done in
// part. Removing files makes room. A negative number is as many as one likes.
func (d *Disk) SetRoom(bytes int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = bytes
}

// Off reports whether the power is out.
func (d *Disk) Off() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.off
}

// Restart switches the power off, if it is on, and on again: what is not safe is
// lost as chance has it. Nothing that was planned remains.
func (d *Disk) Restart() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(d.removed)) {
		if d.files[name] == nil && d.random.IntN(2) == 0 {
			d.files[name] = d.removed[name]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		if f := d.files[name]; f.new && d.random.IntN(2) == 0 {
			delete(d.files, name)
		} else {
			f.lose(d.random)
		}
	}
	clear(d.removed)
	d.off, d.cutAt, d.badSync, d.open = false, 0, 0, nil
	d.lifetime++
}

// Kill ends the process that has files open, as kill -9 does: all that it has
// written is there, safe or not. Nothing that was planned remains.
func (d *Disk) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off, d.cutAt, d.badSync, d.open = false, 0, 0, nil
	d.lifetime++
}

const sector = 512

// lose damages what is not safe. Sectors are lost one by one.
func (f *inode) lose(random *rand.Rand) {
	for _, r := range f.lost {
		f.damage(r.from, r.to, random)
	}
	if random.IntN(2) == 0 {
		f.data = f.data[:f.safe+random.IntN(len(f.data)-f.safe+1)]
	}
	f.damage(f.safe, len(f.data), random)
	f.safe, f.lost, f.new = len(f.data), nil, false
}

func (f *inode) damage(from, to int, random *rand.Rand) {
	for from < to {
		end := min(to, (from/sector+1)*sector)
		switch part := f.data[from:end]; random.IntN(3) {
		case 0: // never written
			clear(part)
		case 1: // in part
			clear(part[random.IntN(len(part)):])
		}
		from = end
	}
}

// FlipBit changes one bit of a file, counted from its beginning.
func (d *Disk) FlipBit(name string, bit int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[name].data[bit/8] ^= 1 << (bit % 8)
}

// List returns the names of all files, sorted.
func (d *Disk) List() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.files))
}

// Read returns all of a file.
func (d *Disk) Read(name string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return nil, ErrPowerLoss
	}
	f := d.files[name]
	if f == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return slices.Clone(f.data), nil
}

// step counts one thing that is about to be done, and tells whether the power goes
// out during it. The caller holds d.mu.
func (d *Disk) step() (cut bool, err error) {
	if d.off {
		return false, ErrPowerLoss
	}
	d.steps++
	d.off = d.steps == d.cutAt
	return d.off, nil
}

// Create makes an empty file to write to, in place of one with that name.
func (d *Disk) Create(name string) (*File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	cut, err := d.step()
	if err != nil {
		return nil, err
	}
	d.files[name] = &inode{new: true}
	if cut {
		return nil, ErrPowerLoss
	}
	return &File{d, d.files[name], d.lifetime}, nil
}

// Append opens a file to write to its end.
func (d *Disk) Append(name string) (*File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return nil, ErrPowerLoss
	}
	f := d.files[name]
	if f == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &File{d, f, d.lifetime}, nil
}

// change makes a change of names, which the power loss may forestall.
func (d *Disk) change(name string, f func(*inode)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	cut, err := d.step()
	if err != nil {
		return err
	}
	file := d.files[name]
	if file == nil {
		return &fs.PathError{Op: "change", Path: name, Err: fs.ErrNotExist}
	}
	if !cut || d.random.IntN(2) == 0 {
		f(file)
	}
	if cut {
		return ErrPowerLoss
	}
	return nil
}

// Rename gives a file another name, in place of one that has it.
func (d *Disk) Rename(from, to string) error {
	return d.change(from, func(f *inode) {
		if old := d.files[to]; old != nil && d.room >= 0 {
			d.room += len(old.data)
		}
		delete(d.files, from)
		d.files[to] = f
	})
}

// Remove removes a file.
func (d *Disk) Remove(name string) error {
	return d.change(name, func(f *inode) {
		delete(d.files, name)
		d.removed[name] = f
		if d.room >= 0 {
			d.room += len(f.data)
		}
	})
}

// Truncate makes a file shorter.
func (d *Disk) Truncate(name string, size int) error {
	return d.change(name, func(f *inode) {
		if d.room >= 0 {
			d.room += len(f.data) - size
		}
		f.data = f.data[:size]
		f.safe = min(f.safe, size)
		f.lost = slices.DeleteFunc(f.lost, func(r region) bool { return r.to > size })
	})
}

// A File is an open file of a Disk.
type File struct {
	disk     *Disk
	inode    *inode
	lifetime int
}

// Write appends to the file.
func (f *File) Write(b []byte) (int, error) {
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if f.lifetime != d.lifetime {
		return 0, ErrPowerLoss
	}
	cut, err := d.step()
	if err != nil {
		return 0, err
	}
	n := len(b)
	if cut {
		n, err = d.random.IntN(len(b)+1), ErrPowerLoss
	}
	if d.room >= 0 && n > d.room {
		n, err = d.room, fmt.Errorf("storetest: write: %w", syscall.ENOSPC)
	}
	if d.room >= 0 {
		d.room -= n
	}
	f.inode.data = append(f.inode.data, b[:n]...)
	return n, err
}

// Sync makes safe what has been written. When the power goes out during it, it
// had been done already or had not.
func (f *File) Sync() error {
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if f.lifetime != d.lifetime {
		return ErrPowerLoss
	}
	cut, err := d.step()
	if err != nil {
		return err
	}
	d.syncs++
	switch {
	case cut && d.random.IntN(2) == 0:
		return ErrPowerLoss
	case d.syncs == d.badSync:
		f.inode.lost = append(f.inode.lost, region{f.inode.safe, len(f.inode.data)})
		err = errIO
	case cut:
		err = ErrPowerLoss
	}
	f.inode.safe, f.inode.new = len(f.inode.data), false
	return err
}
