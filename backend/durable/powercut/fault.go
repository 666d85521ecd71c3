package powercut

import "syscall"

// Kind is a kind of operation.
type Kind uint8

// The kinds that are counted and can fail.
const (
	Change Kind = iota // any of those that change the disk: Create to SyncDir
	Create             // OpenFile that may make or empty a file
	Write
	Sync
	Mkdir
	Rename
	Link // of a file, or of an unnamed one
	Remove
	SyncDir
	Open // of a file for reading
	Read // and ReadAt
	ReadDir
	kinds
)

var kindNames = [kinds]string{"change", "create", "write", "sync", "mkdir", "rename", "link", "remove", "sync folder", "open", "read", "read folder"}

// String names the kind.
func (k Kind) String() string { return kindNames[k] }

// Op is one operation.
type Op struct {
	Kind     Kind
	Path, To string // To is the new name of a Rename or Link
	N        int    // how many of this kind there were, with this one
}

// Fault makes an operation fail.
type Fault struct {
	Kind    Kind
	N       int           // which one, counted from now; 1 is the next
	Err     syscall.Errno // what it fails with
	Short   int           // how many bytes a Write takes before it fails
	Lasting bool          // all that follow fail, too, until Mend

	happened bool
}

// Fail plans a fault.
func (d *Disk) Fail(f Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = append(d.faults, &f)
}

// Mend forgets all planned faults and reports whether one happened since the
// last Mend.
func (d *Disk) Mend() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	happened := false
	for _, f := range d.faults {
		happened = happened || f.happened
	}
	d.faults = nil
	return happened
}

// Count returns how many operations of a kind there were.
func (d *Disk) Count(k Kind) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts[k]
}

// Before lets f be called before each operation that is counted, by the
// goroutine that wants it. f may Cut the disk and Fail the operation.
func (d *Disk) Before(f func(Op)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hook = f
}

// enter counts an operation and returns the error that it fails with.
func (d *Disk) enter(op Op) error {
	if f := d.arrive(op); f != nil {
		return f.Err
	}
	return nil
}

// arrive counts an operation and returns the fault that hits it.
func (d *Disk) arrive(op Op) *Fault {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[op.Kind]++
	op.N = d.counts[op.Kind]
	if op.Kind < Open {
		d.counts[Change]++
	}
	if hook := d.hook; hook != nil {
		d.mu.Unlock()
		hook(op)
		d.mu.Lock()
	}
	var hit *Fault
	for _, f := range d.faults {
		if f.Kind != op.Kind && (f.Kind != Change || op.Kind >= Open) {
			continue
		}
		f.N--
		if f.N == 0 || (f.N < 0 && f.Lasting) {
			f.happened = true
			hit = f
		}
	}
	return hit
}
