package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/gitstore"
	"github.com/caiatech/caiatop/backend/state"
)

const (
	// RebuildFile says in a state folder that a rebuild was begun: until it is
	// gone only Rebuild starts there.
	RebuildFile = "rebuild.json"
	// stateAside stands in the names of folders that keep state files which were
	// replaced.
	stateAside = "state.db.aside-"
	// salvagePrefix begins the names of folders with copies to read.
	salvagePrefix = "salvage-"
	// maxStateAside bounds the state files that are kept aside.
	maxStateAside = 10

	// metaRebuild is set until the index knows what the service holds that git does
	// not.
	metaRebuild = "rebuild"

	rebuildKind = "rebuild"
	// rebuildPatience is how long a rebuild waits for the service while nothing
	// happens there.
	rebuildPatience = 30 * time.Second
)

var (
	// ErrRebuilding: a rebuild of the state file was begun and did not end.
	ErrRebuilding = errors.New("a rebuild of the state file was begun and not finished")
	// ErrNothingToRebuild: the state file is whole.
	ErrNothingToRebuild = errors.New("the state file is whole")
	// ErrAsideFull: so many state files are kept aside already that no other one is.
	ErrAsideFull = errors.New("as many replaced state files as are kept lie in the state folder already")
)

// RebuildOptions say how far a rebuild may go.
type RebuildOptions struct {
	// Force rebuilds also where the state file is whole.
	Force bool
	// Adopt takes over what the service holds also if nothing says that it is the
	// one that this state belonged to.
	Adopt bool
}

// Rebuilt says what a rebuild came to.
type Rebuilt struct {
	Why   string `json:"why"`             // it was needed
	Aside string `json:"aside,omitempty"` // folder that keeps the old state file, "" if there was none
	// Operations of the old outbox: those that could be read, those of them that
	// git or the service lacked and that were written again, and the conflict
	// copies among these.
	Read      int `json:"read"`
	Again     int `json:"again"`
	Conflicts int `json:"conflicts"`
	// Documents are in the index now.
	Documents int64  `json:"documents"`
	State     State  `json:"state"` // of the service at the end
	Reason    string `json:"reason"`
	// Unknown says in sentences what nobody can know. Unsanitised.
	Unknown []string `json:"unknown"`
}

// rebuildRecord is the content of RebuildFile.
type rebuildRecord struct {
	Why   string    `json:"why"`
	Aside string    `json:"aside"` // name of the folder, "" if there was nothing to keep
	Began time.Time `json:"began"`
	// Moved: the old files are aside, what lies there now is new.
	Moved bool `json:"moved"`
}

// Rebuild makes the state file anew from what git and the service hold, after it
// was lost or damaged, or became older than git. The old one is kept aside, and
// what its outbox still tells is written again. It returns the running engine;
// wherever a crash interrupts it, the next Rebuild goes on.
// ErrNothingToRebuild without Force if the state file is whole.
func Rebuild(ctx context.Context, s Setup, o RebuildOptions) (*Host, Rebuilt, error) {
	r := rebuild{setup: s, options: o, now: s.Now, report: Rebuilt{Unknown: []string{}}}
	if r.now == nil {
		r.now = time.Now
	}
	err := r.replace(ctx)
	if err == nil {
		s.rebuilding = r.prepareRebuild
		r.host, err = Start(ctx, s)
	}
	if err == nil {
		err = r.restore(ctx)
	}
	if err = errors.Join(err, r.close()); err == nil {
		return r.host, r.report, nil
	}
	if r.host != nil {
		err = errors.Join(err, r.host.Close(context.WithoutCancel(ctx)))
	}
	return nil, r.report, fmt.Errorf("rebuild the state file: %w", err)
}

// rebuild is one run.
type rebuild struct {
	setup   Setup
	options RebuildOptions
	now     func() time.Time
	record  rebuildRecord
	old     *state.Salvage // a copy of the old file
	copied  string         // folder of the copy
	host    *Host
	report  Rebuilt
}

// replace moves the old state file aside, while nobody uses the folder.
func (r *rebuild) replace(ctx context.Context) (err error) {
	dir := r.setup.Dir
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	lock, err := durable.AcquireLock(filepath.Join(dir, LockFile))
	if err != nil {
		return fmt.Errorf("state folder %s: %w", dir, err)
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	if err := r.sweep(); err != nil {
		return err
	}
	begun, err := readRebuild(dir)
	if err != nil {
		return err
	}
	if begun != nil {
		r.record = *begun
	}
	if err := r.look(ctx, begun == nil); err != nil {
		return err
	}
	if begun == nil {
		if err := r.begin(); err != nil {
			return err
		}
	}
	r.report.Why = r.record.Why
	if r.record.Aside != "" {
		r.report.Aside = filepath.Join(dir, r.record.Aside)
	}
	if r.record.Moved {
		return nil
	}
	if err := r.move(); err != nil {
		return err
	}
	r.record.Moved = true
	return r.write()
}

// look opens a copy of the old file, and decides whether it has to be replaced.
func (r *rebuild) look(ctx context.Context, first bool) error {
	var err error
	if r.copied, err = os.MkdirTemp(r.setup.Dir, salvagePrefix); err != nil {
		return err
	}
	for _, name := range state.Files()[:2] { // the third is made from these
		for _, from := range r.places() {
			if err := copyFile(filepath.Join(from, name), filepath.Join(r.copied, name)); err != nil {
				return err
			}
		}
	}
	if r.old, err = state.OpenSalvage(ctx, r.copied); err != nil {
		return err
	}
	if !first {
		return nil
	}
	why, err := r.old.Damage(ctx)
	if err == nil && why == "" {
		why, err = r.outdated(ctx)
	}
	if err != nil {
		return err
	}
	if why == "" && !r.options.Force {
		return ErrNothingToRebuild
	}
	if why == "" {
		why = "the operator wants it"
	}
	r.record.Why = why
	return nil
}

// places are the folders in which the old files may be: what lies in a later one
// is as good as what lies in an earlier one, or better.
func (r *rebuild) places() (folders []string) {
	if r.record.Aside != "" {
		folders = append(folders, filepath.Join(r.setup.Dir, r.record.Aside))
	}
	if !r.record.Moved {
		folders = append(folders, r.setup.Dir)
	}
	return folders
}

// outdated says whether git holds operations that the state file never issued.
func (r *rebuild) outdated(ctx context.Context) (why string, err error) {
	dir := filepath.Join(r.setup.Dir, GitDir)
	if _, err := os.Stat(dir); err != nil {
		return "", nil //nolint:nilerr // there is nothing to compare with
	}
	repo, err := gitrepo.OpenDisk(dir, gitrepo.Options{})
	if err != nil {
		return "", fmt.Errorf("git repository %s: %w", dir, err)
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	seq := int64(0)
	value, _, err := gitstore.New(repo).Trailer(ctx, trailerSeq, func(v string) bool { return strings.HasPrefix(v, r.old.StateID+"/") }, trailerDepth)
	if err != nil {
		return "", nil //nolint:nilerr // git knows nothing of it, or is mended by the engine
	}
	if _, err := fmt.Sscan(strings.TrimPrefix(value, r.old.StateID+"/"), &seq); err != nil {
		return "", nil //nolint:nilerr // not one of ours
	}
	if issued := r.old.Issued(ctx); seq > issued {
		return fmt.Sprintf("git holds operation %d, and the state file knows %d only: it is an old copy", seq, issued), nil
	}
	return "", nil
}

// begin records what is about to be done, before it is.
func (r *rebuild) begin() error {
	there := false
	for _, name := range state.Files() {
		if _, err := os.Lstat(filepath.Join(r.setup.Dir, name)); err == nil {
			there = true
		}
	}
	if there {
		kept, err := filepath.Glob(filepath.Join(r.setup.Dir, stateAside+"*"))
		if err != nil {
			return err
		}
		if len(kept) >= maxStateAside {
			return fmt.Errorf("%w: %d in %s", ErrAsideFull, len(kept), r.setup.Dir)
		}
		r.record.Aside = stateAside + r.now().UTC().Format("20060102T150405.000Z")
	}
	r.record.Began = r.now().UTC()
	return r.write()
}

func (r *rebuild) write() error {
	data, err := json.Marshal(r.record)
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(r.setup.Dir, RebuildFile), append(data, '\n'), 0o600)
}

// readRebuild returns what was begun in a state folder, nil if nothing was.
func readRebuild(dir string) (*rebuildRecord, error) {
	name := filepath.Join(dir, RebuildFile)
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var record rebuildRecord
	if err == nil {
		err = json.Unmarshal(data, &record)
	}
	if err == nil && record.Aside != filepath.Base(record.Aside) && record.Aside != "" {
		err = fmt.Errorf("%w: it names the folder %q", document.ErrInvalid, record.Aside)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &record, nil
}

// checkRebuild refuses a folder in which a rebuild is to be finished first.
func checkRebuild(s Setup) error {
	if s.rebuilding != nil {
		return nil
	}
	if _, err := os.Stat(filepath.Join(s.Dir, RebuildFile)); err == nil {
		return fmt.Errorf("state folder %s: %w", s.Dir, ErrRebuilding)
	}
	return nil
}

// move gives the old files a second name aside, and only then takes the first
// one away: at every moment all of them can be found together. The file itself
// goes before what belongs to it, so that no new file ever meets the log of the
// old one without its owner having been told.
func (r *rebuild) move() error {
	if r.record.Aside == "" {
		return nil
	}
	dir, aside := r.setup.Dir, filepath.Join(r.setup.Dir, r.record.Aside)
	if err := durable.MkdirAll(aside, 0o700); err != nil {
		return err
	}
	for _, name := range state.Files() {
		err := os.Link(filepath.Join(dir, name), filepath.Join(aside, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
			// No second names here: a copy serves as well.
			if err := copyFile(filepath.Join(dir, name), filepath.Join(aside, name)); err != nil {
				return err
			}
		}
	}
	if err := (durable.Volume{}).SyncDir(aside); err != nil {
		return err
	}
	for _, name := range state.Files() {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return (durable.Volume{}).SyncDir(dir)
}

// sweep removes copies that a run left which was killed.
func (r *rebuild) sweep() error {
	left, err := filepath.Glob(filepath.Join(r.setup.Dir, salvagePrefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

func (r *rebuild) close() error {
	var errs []error
	if r.old != nil {
		errs = append(errs, r.old.Close())
	}
	if r.copied != "" {
		errs = append(errs, os.RemoveAll(r.copied))
	}
	return errors.Join(errs...)
}

// copyFile copies a file, which has its name only once it is whole and synced: a
// name that is there is believed. One that is not there is left out.
func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	part := to + ".part"
	out, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return err
	}
	return durable.Volume{}.Rename(part, to)
}
