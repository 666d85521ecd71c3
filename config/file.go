package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// fileName is the configuration file in its default folder.
const fileName = "config.yaml"

// fileValues is what a configuration file holds, by key. The zero value is no
// file.
type fileValues struct {
	path   string
	values map[string]fileValue
}

type fileValue struct {
	text string
	line int
}

// at names a line of the file as Origin.From does.
func (f fileValues) at(line int) string {
	return fmt.Sprintf("%s:%d", filepath.Base(f.path), line)
}

// readFile reads the file that was asked for, or the one in the default place
// if there is one.
func readFile(in Input) (fileValues, error) {
	path := in.File
	if path == "" {
		folder := in.Env.folder("XDG_CONFIG_HOME", ".config")
		if folder == "" {
			return fileValues{}, nil
		}
		path = filepath.Join(folder, fileName)
	}
	data, err := readLimited(path)
	if in.File == "" && errors.Is(err, fs.ErrNotExist) {
		return fileValues{}, nil
	}
	if err != nil {
		return fileValues{}, err
	}
	return parseFile(path, data)
}

// readLimited reads a regular file of at most MaxFile bytes. It looks before it
// opens: opening a pipe would wait for a writer.
func readLimited(path string) ([]byte, error) {
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

func unreadable(path string, err error) error {
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

func parseFile(path string, data []byte) (fileValues, error) {
	f := fileValues{path, map[string]fileValue{}}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) {
		return f, nil
	}
	if err != nil {
		return fileValues{}, f.notYAML(err)
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		if err != nil {
			return fileValues{}, f.notYAML(err)
		}
		return fileValues{}, &Error{Origin: path, Problem: "the file holds more than one YAML document", Fix: "keep one"}
	}
	if len(document.Content) == 0 {
		return f, nil
	}
	if err := f.walk(document.Content[0], ""); err != nil {
		return fileValues{}, err
	}
	return f, nil
}

func (f fileValues) notYAML(err error) error {
	if strings.Contains(err.Error(), "unknown anchor") {
		// The library's message quotes the value, which may be a token.
		return &Error{Origin: f.path, Problem: "a value begins with *, which YAML takes for a reference", Fix: "write the value in quotes"}
	}
	return &Error{
		Origin: f.path, Problem: "the file is not YAML: " + strings.TrimPrefix(err.Error(), "yaml: "),
		Fix: "write lines like \"phase: dual\"", Cause: err,
	}
}

// walk collects the settings below a section; the file itself is the section
// with the empty name.
func (f fileValues) walk(section *yaml.Node, name string) error {
	section = resolved(section)
	if isNull(section) {
		return nil
	}
	if section.Kind != yaml.MappingNode {
		return &Error{Key: name, Origin: f.at(section.Line), Problem: "here settings are expected, as key and value", Fix: suggestBelow(name)}
	}
	for i := 0; i+1 < len(section.Content); i += 2 {
		key, value := section.Content[i], section.Content[i+1]
		path := key.Value
		if name != "" {
			path = name + "." + key.Value
		}
		if err := f.take(path, key, value); err != nil {
			return err
		}
	}
	return nil
}

func (f fileValues) take(path string, key, value *yaml.Node) error {
	switch {
	case key.Kind == yaml.ScalarNode && slices.Contains(Keys(), path):
		return f.keep(path, key.Line, resolved(value))
	case key.Kind == yaml.ScalarNode && slices.ContainsFunc(Keys(), func(k string) bool { return strings.HasPrefix(k, path+".") }):
		if twice, ok := f.values[path]; ok {
			return f.again(path, key.Line, twice.line)
		}
		// Sections are noted like values, so that one written twice is found.
		f.values[path] = fileValue{line: key.Line}
		return f.walk(value, path)
	}
	return &Error{Key: quote(path), Origin: f.at(key.Line), Problem: "there is no such setting", Fix: suggest(path, Keys())}
}

func (f fileValues) keep(path string, line int, value *yaml.Node) error {
	if twice, ok := f.values[path]; ok {
		return f.again(path, line, twice.line)
	}
	if isNull(value) {
		return nil
	}
	switch value.ShortTag() {
	case "!!str", "!!int", "!!float", "!!bool", "!!timestamp":
		f.values[path] = fileValue{value.Value, line}
		return nil
	}
	return &Error{Key: path, Origin: f.at(line), Problem: "one plain value is expected here", Fix: "write \"" + lastPart(path) + ": value\""}
}

func (f fileValues) again(path string, line, first int) error {
	return &Error{Key: path, Origin: f.at(line), Problem: fmt.Sprintf("line %d sets this already", first), Fix: "keep one of them"}
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
