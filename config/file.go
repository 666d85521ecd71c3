package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// fileName is the configuration file in its default folder.
const fileName = "config.yaml"

// maxMistakes bounds what is told of one file.
const maxMistakes = 100

// fileValues is what a configuration file holds, by key. The zero value is no
// file.
type fileValues struct {
	path     string
	values   map[string]fileValue
	mistakes []*Error
}

type fileValue struct {
	text  string
	line  int
	empty bool // the key is there and has no value
}

// at names a line of the file as Origin.From does.
func (f fileValues) at(line int) string {
	return fmt.Sprintf("%s:%d", filepath.Base(f.path), line)
}

// readFile reads the file that was asked for, or the one in the default place
// if there is one.
func readFile(in Input) (fileValues, []*Error) {
	path := in.File
	if path == "" {
		folder := in.Env.folder("XDG_CONFIG_HOME", ".config")
		if folder == "" {
			return fileValues{}, nil
		}
		path = filepath.Join(folder, fileName)
	}
	data, err := readLimited(path)
	if err != nil && in.File == "" && errors.Is(err.Cause, fs.ErrNotExist) {
		return fileValues{}, nil
	}
	if err != nil {
		return fileValues{}, []*Error{err}
	}
	f := parseFile(path, data)
	return f, f.mistakes
}

// readLimited reads a regular file of at most MaxFile bytes. It looks before it
// opens: opening a pipe would wait for a writer.
func readLimited(path string) ([]byte, *Error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	switch {
	case info.IsDir():
		return nil, &Error{Origin: path, Problem: "this is a folder, not a file", Fix: "name the file in it"}
	case !info.Mode().IsRegular():
		return nil, &Error{Origin: path, Problem: "this is not a regular file", Fix: "name a YAML file"}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, unreadable(path, err)
	}
	if len(data) > MaxFile {
		return nil, &Error{Origin: path, Problem: "the file has more than 1 MiB", Fix: "is this the right file?"}
	}
	return data, nil
}

func unreadable(path string, err error) *Error {
	why := err
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		why = pathError.Err
	}
	return &Error{
		Origin: path, Problem: "the file cannot be read: " + why.Error(),
		Fix: "check the path and its permissions", Cause: err,
	}
}

// parseFile reads what it can and notes what is wrong with the rest.
func parseFile(path string, data []byte) fileValues {
	f := fileValues{path: path, values: map[string]fileValue{}}
	if err := f.notText(data); err != nil {
		f.mistakes = append(f.mistakes, err)
		return f
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) {
		return f
	}
	if err == nil {
		if err = decoder.Decode(&second); errors.Is(err, io.EOF) {
			err = nil
		} else if err == nil {
			f.wrong("", second.Line, "a second YAML document begins here", "keep one")
			return f
		}
	}
	if err != nil {
		f.mistakes = append(f.mistakes, f.notYAML(data, err))
		return f
	}
	if len(document.Content) > 0 {
		f.walk(document.Content[0], "")
	}
	return f
}

// wrong notes a mistake at a line of the file.
func (f *fileValues) wrong(key string, line int, what, fix string) {
	if len(f.mistakes) < maxMistakes {
		f.mistakes = append(f.mistakes, &Error{Key: key, Origin: f.at(line), Problem: what, Fix: fix})
	}
}

// notText says of a file that YAML cannot be which line is none.
func (f *fileValues) notText(data []byte) *Error {
	const fix = "save it as UTF-8"
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return &Error{Origin: f.path, Problem: "the file is UTF-16", Fix: fix}
	}
	for i, line := range bytes.Split(data, []byte("\n")) {
		if !utf8.Valid(line) {
			return &Error{Origin: f.at(i + 1), Problem: "this line is not UTF-8", Fix: fix}
		}
		for _, r := range string(line) {
			if r < ' ' && r != '\t' && r != '\r' || r == 0x7f {
				return &Error{Origin: f.at(i + 1), Problem: fmt.Sprintf("this line holds the control character U+%04X", r), Fix: "remove it"}
			}
		}
	}
	return nil
}

// lineOf is where the library says that it stopped.
var lineOf = regexp.MustCompile(`^yaml: line ([0-9]+): `)

// notYAML tells what the library says, but where it quotes a value, which may
// be a token, and where it describes a tab.
func (f *fileValues) notYAML(data []byte, err error) *Error {
	if strings.Contains(err.Error(), "unknown anchor") {
		return &Error{Origin: f.path, Problem: "a value begins with *, which YAML takes for a reference", Fix: "write the value in quotes"}
	}
	for i, line := range bytes.Split(data, []byte("\n")) {
		indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
		if bytes.ContainsRune(indent, '\t') {
			return &Error{Origin: f.at(i + 1), Problem: "this line is indented with a tab, which YAML does not allow", Fix: "use spaces", Cause: err}
		}
	}
	const what, fix = "the file is not YAML", "write lines like \"phase: dual\""
	said := err.Error()
	if at := lineOf.FindStringSubmatch(said); at != nil {
		return &Error{Origin: filepath.Base(f.path) + ":" + at[1], Problem: what + ": " + strings.TrimPrefix(said, at[0]), Fix: fix, Cause: err}
	}
	return &Error{Origin: f.path, Problem: what + ": " + strings.TrimPrefix(said, "yaml: "), Fix: fix, Cause: err}
}

// walk collects the settings below a section; the file itself is the section
// with the empty name.
func (f *fileValues) walk(section *yaml.Node, name string) {
	section = resolved(section)
	if isNull(section) {
		return
	}
	if section.Kind != yaml.MappingNode {
		f.wrong(name, section.Line, "here settings are expected, as key and value", suggestBelow(name))
		return
	}
	for i := 0; i+1 < len(section.Content) && len(f.mistakes) < maxMistakes; i += 2 {
		key, value := section.Content[i], section.Content[i+1]
		path := key.Value
		if name != "" {
			path = name + "." + key.Value
		}
		f.take(path, key, value)
	}
}

func (f *fileValues) take(path string, key, value *yaml.Node) {
	isKey := key.Kind == yaml.ScalarNode && slices.Contains(Keys(), path)
	isSection := key.Kind == yaml.ScalarNode && slices.ContainsFunc(Keys(), func(k string) bool { return strings.HasPrefix(k, path+".") })
	if !isKey && !isSection {
		f.wrong(quote(path), key.Line, "there is no such setting", suggest(path, Keys()))
		return
	}
	if twice, ok := f.values[path]; ok {
		f.wrong(path, key.Line, fmt.Sprintf("line %d sets this already", twice.line), "keep one of them")
		return
	}
	// What is empty, and sections too, is noted, so that what is written twice
	// is found.
	f.values[path] = fileValue{line: key.Line, empty: true}
	if isSection {
		f.walk(value, path)
		return
	}
	f.keep(path, key.Line, resolved(value))
}

func (f *fileValues) keep(path string, line int, value *yaml.Node) {
	switch {
	case isNull(value):
	case isPlain(value):
		f.values[path] = fileValue{text: value.Value, line: line}
	case path == hostsKey && value.Kind == yaml.SequenceNode:
		var items []string
		for _, item := range value.Content {
			if item = resolved(item); !isPlain(item) || strings.Contains(item.Value, hostSeparator) {
				f.wrong(path, item.Line, "one plain value is expected in each place of the list", "write \"- host.example\"")
				return
			}
			items = append(items, item.Value)
		}
		f.values[path] = fileValue{text: strings.Join(items, hostSeparator), line: line}
	case path == hostsKey:
		f.wrong(path, line, "a list is expected here", "write \"hosts: [host.example]\"")
	default:
		f.wrong(path, line, "one plain value is expected here", "write \""+lastPart(path)+": value\"")
	}
}

func isPlain(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && slices.Contains([]string{"!!str", "!!int", "!!float", "!!bool", "!!timestamp"}, n.ShortTag())
}

func resolved(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func lastPart(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

func suggestBelow(section string) string {
	var below []string
	for _, k := range Keys() {
		if section == "" || strings.HasPrefix(k, section+".") {
			below = append(below, k)
		}
	}
	return "known are " + strings.Join(below, ", ")
}
