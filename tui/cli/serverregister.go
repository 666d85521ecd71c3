package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/govcd/access"
	"github.com/caiatech/caiatop/probe/httpapi"
)

const (
	// accessTime bounds the wait for another command that changes the access
	// file.
	accessTime = 10 * time.Second

	dataFlag = "data"
	dataHelp = "the `folder` of the service"
)

// onRegister makes cmd one on the access file in the folder --data, which take
// opens.
func (a *app) onRegister(
	cmd *cobra.Command, take func(data string) (access.Register, error), run func(ctx context.Context, r access.Register, args []string) error,
) *cobra.Command {
	var data string
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := take(data)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), accessTime)
		defer cancel()
		return run(ctx, r, args)
	}
	cmd.Flags().StringVar(&data, dataFlag, "", dataHelp)
	a.jsonFlag(cmd)
	return cmd
}

// dataOf is the folder that a command was given.
func dataOf(cmd *cobra.Command) string { return cmd.Flag(dataFlag).Value.String() }

// register is the access file in the folder of the service, changed by whoever
// runs this command. The folder need not be there.
func (a *app) register(data string) (r access.Register, info os.FileInfo, err error) {
	if data == "" {
		return r, nil, usage("say where the service keeps its data", "name its folder with --data")
	}
	info, err = os.Stat(data)
	switch {
	case err == nil && !info.IsDir():
		err = fmt.Errorf("%s: %w", data, syscall.ENOTDIR)
	case errors.Is(err, fs.ErrNotExist):
		info, err = nil, nil
	}
	if err != nil {
		return r, nil, accessFault("the folder of the service cannot be looked at", err)
	}
	r = access.Register{Dir: data, Now: a.Now, Via: "shell", From: "local", By: fmt.Sprintf("uid %d", os.Getuid())}
	if who, err := user.Current(); err == nil && who.Username != "" {
		r.By = who.Username
	}
	return r, info, nil
}

// found is register for a command that makes nothing: the folder has to be
// there, so that a slip in its name is not taken for an empty one.
func (a *app) found(data string) (access.Register, error) {
	r, info, err := a.register(data)
	if err == nil && info == nil {
		err = &Fault{
			What: "there is no folder " + data, Why: known{fs.ErrNotExist}, Fix: "name the folder of the service with --data",
		}
	}
	return r, err
}

// changed is register for a command that changes the file. It refuses to do so
// for the folder of another user: the new file would be this user's alone, and
// the service could not read it.
func (a *app) changed(data string) (access.Register, error) {
	r, info, err := a.register(data)
	if err == nil && info != nil && foreign(info, os.Geteuid()) {
		err = &Fault{
			What: fmt.Sprintf("nothing was changed: the folder %s belongs to another user", data), Why: known{fs.ErrPermission},
			Fix: "run this as the user that the service runs as, with sudo -u",
		}
	}
	return r, err
}

// changedThere is changed for a command that takes away.
func (a *app) changedThere(data string) (access.Register, error) {
	if r, err := a.found(data); err != nil {
		return r, err
	}
	return a.changed(data)
}

// foreign reports whether a file belongs to another user than uid.
func foreign(info os.FileInfo, uid int) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) != uid
}

// accessFault gives an error its exit code, and says what to do.
func accessFault(what string, err error) error {
	f := &Fault{What: what, Why: err}
	for _, c := range []struct {
		is, sentinel error
		fix          string
	}{
		{access.ErrUnrecorded, httpapi.ErrAmbiguous, "look at the disk, then at what is there with the command list"},
		{syscall.ENOTDIR, ErrCantCreate, "name the folder of the service with --data"},
		{access.ErrBusy, errHeld, "run the command again"},
		{access.ErrNotFound, httpapi.ErrNotFound, "look what is there with the command list"},
		{access.ErrExists, httpapi.ErrInvalid, "choose another name, or revoke that key first"},
		{access.ErrFull, httpapi.ErrTooLarge, "remove what is not used any more"},
		{access.ErrInvalid, httpapi.ErrInvalid, ""},
		{durable.ErrDiskFull, httpapi.ErrDiskFull, "free space on the disk of the service's folder"},
	} {
		if errors.Is(err, c.is) {
			f.Why, f.Fix = coded{err, c.sentinel}, c.fix
			break
		}
	}
	return f
}
