package cli

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/backend/govcd/access"
	"github.com/caiatech/caiatop/probe/httpapi"
)

const forgetAccess = "forget-access"

// forgotAccess is what was forgotten with --json.
type forgotAccess struct {
	Before string `json:"before"` // what callers were asked for
	Data   string `json:"data"`
}

func (a *app) serverForgetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: forgetAccess, Short: "let a service that asked for credentials begin anew", Args: args(0, 0),
		Long: "The folder of a service remembers that callers were asked for credentials: without the access\n" +
			"file, the secret or the key the service does not start, or is closed to those who had theirs from\n" +
			"what is lost, and never answers everybody instead. This command forgets that, for whoever means\n" +
			"it; it is in the audit. While the access file is there nothing is forgotten: move it away first.\n" +
			"A running service goes on as before until it is started again.",
		Example: "  caiatop server " + forgetAccess + " --data /srv/caiatop",
	}
	return a.onRegister(cmd, a.changedThere, func(ctx context.Context, r access.Register, _ []string) error {
		before, err := r.Forget(ctx)
		if err != nil {
			return forgetFault(r, err)
		}
		if a.json {
			return a.printJSON(a.Stdout, forgotAccess{string(before), r.Dir})
		}
		return emit(a.Stdout, "forgot that callers were asked for credentials (%s); the next start of the service asks for those that are set up then\n", safe(string(before)))
	})
}

// forgetFault says why nothing was forgotten.
func forgetFault(r access.Register, err error) error {
	const what = "nothing was forgotten"
	switch {
	case errors.Is(err, access.ErrExists):
		return &Fault{
			What: what, Why: coded{err, httpapi.ErrInvalid},
			Fix: "move " + filepath.Join(r.Dir, access.FileName) + " away if nobody is to have what it grants any more",
		}
	case errors.Is(err, access.ErrNotFound):
		return &Fault{What: what, Why: coded{errors.New("callers were not asked for credentials there"), httpapi.ErrNotFound}, Fix: "check the folder"}
	}
	return accessFault(what, err)
}

// lostFault says what to do where a service would begin to answer everybody.
func (o serverOptions) lostFault(lost *access.LostError) error {
	forget := "; if nobody is to be asked for a credential any more: caiatop server " + forgetAccess + " --data " + o.data
	f := &Fault{
		What: "the service does not start, because it would answer everybody", Why: coded{lost, httpapi.ErrUnauthorized},
		Fix: "set GOVC_API_KEY as before" + forget,
	}
	switch lost.Before {
	case access.TraceSecret:
		f.Fix = "give it the JWT secret as before, with --jwt-secret-file, in GOVC_JWT_SECRET or in " + filepath.Join(o.data, access.SecretName) + forget
	case access.TraceFile:
		f.Fix = "put " + filepath.Join(o.data, access.FileName) + " back, or make new keys and grants with: caiatop server apikey create --data " + o.data + forget
	case access.TraceKey, access.TraceNone:
	}
	return f
}
