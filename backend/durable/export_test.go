package durable

import (
	"errors"
	"os"
)

var Wrap = wrap

// Break closes the descriptor under f, so that every later write and sync
// fails.
func (f *File) Break() error { return f.file.Close() }

// WriteToDevFull writes through a File whose device has no space.
func WriteToDevFull() error {
	device, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	f := &File{file: device, path: "/dev/full"}
	_, err = f.Write([]byte("x"))
	return errors.Join(err, device.Close())
}
