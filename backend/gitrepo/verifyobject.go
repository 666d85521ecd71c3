package gitrepo

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/go-git/go-git/v5/plumbing"
)

// checkObject calls found with each rule of git that an object breaks; they
// are those of git fsck --strict that are about damage, not about danger to
// whoever checks it out.
func checkObject(o object, found func(what string)) {
	switch o.kind {
	case plumbing.TreeObject:
		checkTree(o.data, found)
	case plumbing.CommitObject:
		checkCommit(o.data, found)
	case plumbing.TagObject:
		checkTag(o.data, found)
	}
}

func checkTree(tree []byte, found func(what string)) {
	var before item
	var files [][]byte // names of files that are prefixes of what follows
	for len(tree) > 0 {
		padded := tree[0] == '0'
		it, rest, err := nextItem(tree)
		if err != nil {
			found(err.Error())
			return
		}
		checkItem(it, padded, found)
		if before.name != nil && compareItems(before, it) >= 0 {
			found(fmt.Sprintf("the entry %q is not in order", it.name))
		}
		// A file and a folder of one name have others between them.
		for len(files) > 0 && !bytes.HasPrefix(it.name, files[len(files)-1]) {
			files = files[:len(files)-1]
		}
		if len(files) > 0 && bytes.Equal(files[len(files)-1], it.name) {
			found(fmt.Sprintf("the entry %q is there twice", it.name))
		}
		if !it.mode.isTree() {
			files = append(files, it.name)
		}
		before, tree = it, rest
	}
}

func checkItem(it item, padded bool, found func(what string)) {
	name := string(it.name)
	switch {
	case bytes.IndexByte(it.name, '/') >= 0:
		found(fmt.Sprintf("the entry %q has a slash in its name", name))
	case name == "." || name == ".." || document.DisguisesGit(name):
		found(fmt.Sprintf("no entry may have the name %q", name))
	}
	if padded {
		found(fmt.Sprintf("the mode of the entry %q begins with a zero", name))
	}
	switch it.mode {
	case modeTree, modeFile, modeExecutable, modeSymlink, modeSubmodule:
	default:
		found(fmt.Sprintf("the entry %q has the mode %o", name, it.mode))
	}
	if it.hash.IsZero() {
		found(fmt.Sprintf("the entry %q names no object", name))
	}
}

// header takes the first line of an object off, if its key is that.
func header(data []byte, key string) (value, rest []byte, ok bool) {
	after, ok := bytes.CutPrefix(data, []byte(key+" "))
	if !ok {
		return nil, data, false
	}
	value, rest, ok = bytes.Cut(after, []byte("\n"))
	return value, rest, ok
}

func checkCommit(data []byte, found func(what string)) {
	head, _, _ := bytes.Cut(data, []byte("\n\n"))
	if bytes.IndexByte(head, 0) >= 0 {
		found("there is a zero byte in its header")
	}
	if bytes.IndexByte(data, 0) >= 0 {
		found("there is a zero byte in it")
	}
	value, data, ok := header(data, "tree")
	if _, valid := parseHash(value); !ok || !valid {
		found("it does not begin with its tree")
		return
	}
	for {
		value, data, ok = header(data, "parent")
		if !ok {
			break
		}
		if _, valid := parseHash(value); !valid {
			found("a parent line cannot be read")
			return
		}
	}
	for _, role := range []string{"author", "committer"} {
		value, data, ok = header(data, role)
		if !ok {
			found("its " + role + " line is missing, or not where it belongs")
			return
		}
		checkIdentity(role, value, found)
	}
	if _, _, twice := header(data, "author"); twice {
		found("it has two authors")
	}
	if len(data) == 0 {
		found("its header does not end")
	}
}

func checkTag(data []byte, found func(what string)) {
	value, data, ok := header(data, "object")
	if _, valid := parseHash(value); !ok || !valid {
		found("it does not begin with its object")
		return
	}
	value, data, ok = header(data, "type")
	if _, err := plumbing.ParseObjectType(string(value)); !ok || err != nil {
		found("its type line is missing, or cannot be read")
		return
	}
	value, data, ok = header(data, "tag")
	if !ok {
		found("its name is missing")
		return
	}
	if plumbing.ReferenceName(tagsPrefix+string(value)).Validate() != nil {
		found(fmt.Sprintf("it has the name %q", value))
	}
	if value, _, ok = header(data, "tagger"); ok {
		checkIdentity("tagger", value, found)
	} // very old tags have none
}

// checkIdentity holds what git demands of "name <email> seconds zone".
func checkIdentity(role string, value []byte, found func(what string)) {
	bad := func(what string) { found("its " + role + " has " + what) }
	open := bytes.IndexByte(value, '<')
	switch {
	case open < 0:
		bad("no email")
		return
	case open == 0:
		bad("no name")
	case value[open-1] != ' ':
		bad("no space before the email")
	case bytes.IndexByte(value[:open], '>') >= 0:
		bad("a bad name")
	}
	email, rest, ok := bytes.Cut(value[open+1:], []byte(">"))
	if !ok || bytes.IndexByte(email, '<') >= 0 {
		bad("a bad email")
		return
	}
	rest, ok = bytes.CutPrefix(rest, []byte(" "))
	if !ok {
		bad("no space before the date")
		return
	}
	seconds, zone, ok := bytes.Cut(rest, []byte(" "))
	if len(seconds) > 1 && seconds[0] == '0' {
		bad("a date that begins with a zero")
	}
	if _, err := strconv.ParseInt(string(seconds), 10, 64); err != nil || !ok || seconds[0] == '-' || seconds[0] == '+' {
		bad("a bad date")
		return
	}
	digits := len(zone) == 5 && (zone[0] == '+' || zone[0] == '-')
	for _, c := range zone[min(len(zone), 1):] {
		digits = digits && c >= '0' && c <= '9'
	}
	if !digits {
		bad("a bad time zone")
	}
}
