package frame

import "encoding/binary"

// File is a file of a folder.
type File struct {
	Name string // any bytes but '/', not empty
	Hash Hash   // of the blob
	Data []byte
}

// Folder is the answer to a read of one folder:
//
//	commit hash, number of files, of each: name content, blob hash, data content
type Folder struct {
	Commit Hash
	Files  []File
}

// leastFile is what a file has at least, in bytes.
const leastFile = 2 + 20 + 1

// Append writes the message.
func (f Folder) Append(to []byte) []byte {
	to = append(begin(to, folderKind), f.Commit[:]...)
	return appendFiles(to, f.Files)
}

// Size is how many bytes Append writes at most.
func (f Folder) Size() int { return headerSize + len(f.Commit) + sizeOfFiles(f.Files) }

// ReadFolder reads what Folder.Append wrote.
func ReadFolder(message []byte) (Folder, error) {
	r := open(message, folderKind)
	f := Folder{Commit: r.hash(), Files: r.files()}
	if err := r.end(); err != nil {
		return Folder{}, err
	}
	return f, nil
}

func appendFiles(to []byte, files []File) []byte {
	to = binary.AppendUvarint(to, uint64(len(files)))
	for i := range files {
		f := &files[i]
		to = appendText(to, f.Name)
		to = append(to, f.Hash[:]...)
		to = appendText(to, f.Data)
	}
	return to
}

func sizeOfFiles(files []File) int {
	n := sizeOf(0)
	for i := range files {
		n += sizeOf(len(files[i].Name)) + len(files[i].Hash) + sizeOf(len(files[i].Data))
	}
	return n
}

func (r *reader) files() []File {
	n := r.count(leastFile)
	out := make([]File, 0, min(n, 64)) // so that an announcement alone takes nothing
	for range n {
		f := File{Name: r.name(), Hash: r.hash(), Data: r.content()}
		if r.err != nil {
			return nil
		}
		out = append(out, f)
	}
	return out
}

// name reads the name of a file, which git does not want to be UTF-8.
func (r *reader) name() string {
	b := r.content()
	if len(b) == 0 && r.err == nil {
		r.fail("a file has no name")
	}
	for _, c := range b {
		if c == '/' {
			r.fail("the name of a file has a slash")
			return ""
		}
	}
	return string(b)
}

// Named is a folder beside others.
type Named struct {
	Path  string // any bytes
	Files []File
}

// Folders is the answer to a read of many folders:
//
//	commit hash, number of folders, of each: path content, number of files, the files as in Folder,
//	number of paths left, of each: path content
type Folders struct {
	Commit  Hash
	Folders []Named
	Left    []string // there was no room for them
}

// Append writes the message.
func (f Folders) Append(to []byte) []byte {
	to = append(begin(to, foldersKind), f.Commit[:]...)
	to = binary.AppendUvarint(to, uint64(len(f.Folders)))
	for i := range f.Folders {
		to = appendText(to, f.Folders[i].Path)
		to = appendFiles(to, f.Folders[i].Files)
	}
	to = binary.AppendUvarint(to, uint64(len(f.Left)))
	for _, path := range f.Left {
		to = appendText(to, path)
	}
	return to
}

// Size is how many bytes Append writes at most.
func (f Folders) Size() int {
	n := headerSize + len(f.Commit) + 2*sizeOf(0)
	for i := range f.Folders {
		n += sizeOf(len(f.Folders[i].Path)) + sizeOfFiles(f.Folders[i].Files)
	}
	for _, path := range f.Left {
		n += sizeOf(len(path))
	}
	return n
}

// ReadFolders reads what Folders.Append wrote.
func ReadFolders(message []byte) (Folders, error) {
	r := open(message, foldersKind)
	f := Folders{Commit: r.hash()}
	for range r.count(2) {
		f.Folders = append(f.Folders, Named{Path: string(r.content()), Files: r.files()})
		if r.err != nil {
			return Folders{}, r.err
		}
	}
	for range r.count(1) {
		f.Left = append(f.Left, string(r.content()))
	}
	if err := r.end(); err != nil {
		return Folders{}, err
	}
	return f, nil
}
