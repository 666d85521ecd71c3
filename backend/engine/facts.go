package engine

import (
	"context"
	"reflect"
	"slices"
	"time"

	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/state"
)

// Facts is what is known of the service and of the way to it, beside how it
// does. Zero values are unknown and are shown as such; texts that came from the
// service are unsanitised.
type Facts struct {
	// Described: the service said what it is. Nothing up to Durable means
	// anything before.
	Described      bool
	Dialect        string // govc.DialectV1 or govc.DialectV2
	Reason         string // why this dialect, in a sentence
	Version        string
	Implementation string // "" for a plain govc
	Capabilities   []Capability
	Embedded       bool
	Durable        *bool // nil: it does not say

	// Lineage and Epoch name the repository that this state belongs to; "" and 0
	// before the first attachment.
	Lineage string
	Epoch   int64
	// Tip is the newest commit at the service that is known here, "" if none is.
	Tip   string
	TipAt time.Time

	// Window lies between the look at a document and the commit over it, where a
	// service takes no conditions; 0 if nobody has measured it.
	Window time.Duration

	// Access is who we are to the service and how it is reached; its method is ""
	// where no client tells.
	Access govc.Access
	// Latency is where the time goes. FirstByte is the median of the last good
	// probes, so that what is shown does not jump.
	Latency govc.Latency
}

// Capability is one thing that a service may be able to do.
type Capability struct {
	Name string
	Has  bool
	// Means says what it brings, or what its lack means.
	Means string
}

// knownCapabilities are all that this program knows, what matters most first,
// with what each brings and what its lack means.
var knownCapabilities = []struct{ name, brings, lack string }{
	{govcd.CapBatch, "many documents in one request and one commit", "one file a request"},
	{govcd.CapNewFolder, "a new document is written without looking for it first", "a new document is looked for before it is written"},
	{govcd.CapMatch, "nobody's write is overwritten unseen", "a window between read and write, in which others' writes are overwritten"},
	{govcd.CapKey, "a lost answer is asked for again", "after a lost answer everything is read before it is sent again"},
	{govcd.CapDelete, "what is deleted is gone from the newest tree", "hidden, not erased"},
	{govcd.CapEvents, "it tells of others' writes as they happen", "others' writes: best effort, found when they are read"},
	{govcd.CapRecursiveTree, "documents can be listed", "no listing: only what the newest commits name is found"},
	{govcd.CapTreePage, "long listings come page by page", "a listing is one answer, however long"},
	{govcd.CapFullTree, "each commit holds all files", "a commit holds only the files that it changed"},
	{govcd.CapFolder, "a document is read in one consistent answer", "a document is read file by file"},
	{govcd.CapFolders, "many documents are compared in one request", "one document a request when comparing"},
	{govcd.CapLogPath, "the log of one document can be asked for", "no log of one document; its history is in git here"},
	{govcd.CapLogPage, "a long log is read from where it was left", "a log is read from its newest commit on"},
	{govcd.CapCommitTime, "commits carry the time of the write", "commits carry the time of their arrival"},
	{govcd.CapStage, "clients stage apart from each other", "staging is shared: others' files may get into our commits"},
	{govcd.CapEmpty, "empty files are taken as they are", "empty files are encoded"},
	{govcd.CapBase64, "binary files are taken as they are", "binary files are encoded"},
	{govcd.CapRef, "earlier versions can be read there", "no reads of earlier versions there; git here has them"},
	{govcd.CapDiff, "it compares commits", "nothing is missed: differences are made here"},
	{govcd.CapAccess, "each credential has rights of its own, and is told them", "who has its credential, or can reach it, may do everything"},
	{govcd.CapSearch, "it finds files by words", "nothing is missed: texts are searched here"},
	{govcd.CapBranches, "it has branches", "nothing is missed: one branch is used"},
	{govcd.CapMerge, "it merges branches", "nothing is missed: conflicts are kept as copies"},
	{govcd.CapTags, "it has tags", "nothing is missed: tags are not used"},
	{govcd.CapGit, "git clones and fetches it", "nothing is missed: git clones from here"},
	{govcd.CapFrame, "contents are sent as they are, neither escaped nor encoded", "contents are sent as JSON, which takes longer"},
}

// byDialect is what API v1 does without announcing it.
var byDialect = map[string]string{
	govcd.CapDelete:        "by API v1: every file of a document is removed",
	govcd.CapRecursiveTree: "by API v1, without versions: listed documents are read one by one",
}

// CapabilitiesOf says of each capability that this program knows whether a
// service has it, then names those that it announces beside them.
func CapabilitiesOf(info govc.Info) []Capability {
	var out []Capability
	for _, known := range knownCapabilities {
		c := Capability{Name: known.name, Has: info.Has(known.name), Means: known.lack}
		if c.Has {
			c.Means = known.brings
		}
		if means, ok := byDialect[c.Name]; ok && info.Dialect == govc.DialectV1 {
			c.Has, c.Means = true, means
		}
		out = append(out, c)
	}
	for _, name := range info.Capabilities {
		if !slices.ContainsFunc(out, func(c Capability) bool { return c.Name == name }) {
			out = append(out, Capability{Name: name, Has: true, Means: "this version of caiatop has no use for it"})
		}
	}
	return out
}

// FactsOf is what a service says of itself.
func FactsOf(info govc.Info) Facts {
	f := Facts{
		Described: true, Dialect: info.Dialect, Reason: info.Reason, Version: info.Version, Implementation: info.Implementation,
		Capabilities: CapabilitiesOf(info), Embedded: info.Embedded,
	}
	if info.Implementation == govcd.Implementation {
		f.Durable = &info.Durable
	}
	return f
}

// Facts returns what is known of the service now.
func (e *Engine) Facts() Facts { return e.Stats().Facts }

// factsLocked completes what the service said with what is known here. The
// caller holds the mutex.
func (e *Engine) factsLocked() Facts {
	f := e.view.facts
	f.Embedded = e.o.Embedded != nil
	f.Lineage, f.Epoch = e.o.State.Meta(metaLineage), e.epoch()
	return f
}

// noteTip remembers the newest commit at the service.
func (e *Engine) noteTip(commit string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if commit != "" && (commit != e.view.facts.Tip || e.view.facts.TipAt.IsZero()) {
		e.view.facts.Tip, e.view.facts.TipAt = commit, e.o.Now()
	}
}

// windowsOf is the number of batches that the window is taken from.
const windowsOf = 30

// noteWindow remembers how long others could have written unseen while a batch
// was made; the longest of the last ones is shown.
func (e *Engine) noteWindow(window time.Duration) {
	if window <= 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	v := &e.view
	v.windows = append(v.windows[max(0, len(v.windows)-windowsOf+1):], window)
	v.facts.Window = slices.Max(v.windows)
}

// describe takes over what the service says of itself. What is known of the way
// to it stays. The caller holds the mutex.
func (v *view) describe(info govc.Info) {
	f := FactsOf(info)
	f.Tip, f.TipAt, f.Window, f.Access, f.Latency = v.facts.Tip, v.facts.TipAt, v.facts.Window, v.facts.Access, v.facts.Latency
	v.info, v.facts = info, f
}

// informant is a client that can say how it reaches its service.
type informant interface {
	Access() govc.Access
	Latency() govc.Latency
}

// waitsOf is the number of good probes that the first byte is taken from.
const waitsOf = 30

// lookAround takes over from the client how the service is reached, after a
// probe, and reports whether something that is shown has changed.
func (e *Engine) lookAround(up bool) (changed bool) {
	client, ok := e.o.Primary.(informant)
	if !ok {
		return false
	}
	access, latency := client.Access(), client.Latency()
	e.mu.Lock()
	defer e.mu.Unlock()
	v := &e.view
	if up && latency.FirstByte > 0 && !latency.At.Equal(v.probed) {
		v.waits = append(v.waits[max(0, len(v.waits)-waitsOf+1):], latency.FirstByte)
	}
	v.probed = latency.At
	latency.FirstByte = 0
	if sorted := slices.Sorted(slices.Values(v.waits)); len(sorted) > 0 {
		latency.FirstByte = sorted[(len(sorted)-1)/2]
	}
	before := &v.facts
	changed = !sameAccess(before.Access, access) || !before.Latency.Opened.Equal(latency.Opened) || before.Latency.Reused != latency.Reused ||
		shownLatency(before.Latency.FirstByte) != shownLatency(latency.FirstByte)
	before.Access, before.Latency = access, latency
	return changed
}

// sameAccess compares what is shown of two.
func sameAccess(a, b govc.Access) bool {
	if a.Expires.Equal(b.Expires) {
		a.Expires = b.Expires
	}
	return reflect.DeepEqual(a, b)
}

// Identity returns the lineage and the epoch of the state in a folder that
// nobody uses, "" and 0 if it was never attached to a service. It changes
// nothing there; state.ErrUnsettled after a kill.
func Identity(ctx context.Context, dir string) (lineage string, epoch int64, err error) {
	values, err := state.Peek(ctx, dir, metaLineage, metaEpoch)
	if err != nil {
		return "", 0, err
	}
	epoch, err = parseEpoch(values[1])
	return values[0], epoch, err
}
