package cli

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/govcd/access"
	"github.com/caiatech/caiatop/config"
)

const (
	// defaultTTL is how long a token lives that nobody gave a time.
	defaultTTL = time.Hour
	secretEnv  = "GOVC_JWT_SECRET"

	repoHelp = "a `right` like docs:read, team-*:write or *:admin; may be given again"
)

// tokenOptions are the flags of server token.
type tokenOptions struct {
	subject, data, secretFile string
	ttl                       time.Duration
	repos                     []string
}

// madeToken is a token with --json.
type madeToken struct {
	Token   string    `json:"token"` // shown once
	ID      string    `json:"id"`
	Kid     string    `json:"kid"`
	Subject string    `json:"subject"`
	Scopes  []string  `json:"scopes"`
	Expires time.Time `json:"expires_at"`
}

func (a *app) serverTokenCommand() *cobra.Command {
	var o tokenOptions
	cmd := &cobra.Command{
		Use: "token", Short: "make a token that the service accepts", Args: args(0, 0),
		Long: "Makes a JSON web token for somebody and writes it to stdout. It is kept nowhere, and cannot be\n" +
			"revoked: it ends with its time, or with the secret that signed it.\n\n" +
			"The secret is that of the service: the file --jwt-secret-file, else GOVC_JWT_SECRET, else the file\n" +
			access.SecretName + " in the folder --data. It has at least 32 bytes; a second line is the secret before, which\n" +
			"no longer signs. What the token allows is what --repo names and what the subject is granted.",
		Example: "  (umask 077; openssl rand -hex 32 > /srv/caiatop/" + access.SecretName + ")\n" +
			"  caiatop server token --data /srv/caiatop --sub ann --ttl 8h --repo docs:write",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := notEmpty(cmd); err != nil {
				return err
			}
			return a.mint(o)
		},
	}
	cmd.Flags().StringVar(&o.subject, "sub", "", "the `name` of whom it is for")
	cmd.Flags().DurationVar(&o.ttl, "ttl", defaultTTL, "how long it lives, a `duration` like 8h; at most 2160h")
	cmd.Flags().StringArrayVar(&o.repos, "repo", nil, repoHelp)
	cmd.Flags().StringVar(&o.data, "data", "", "the `folder` of the service, for its "+access.SecretName)
	cmd.Flags().StringVar(&o.secretFile, "jwt-secret-file", "", "the `file` of the secret")
	a.completeRights(cmd, "repo")
	a.jsonFlag(cmd)
	return cmd
}

// mint makes a token and shows it.
func (a *app) mint(o tokenOptions) error {
	if o.subject == "" {
		return usage("say whom the token is for", "use it as: caiatop server token --sub NAME")
	}
	scopes, err := parseRights(o.repos)
	if err != nil {
		return err
	}
	ring, err := jwtKeyring(o.secretFile, o.data)
	if err != nil {
		return err
	}
	token, err := ring.Mint(a.Now(), rand.Reader, access.TokenRequest{Subject: o.subject, TTL: o.ttl, Scopes: scopes})
	if err != nil {
		return accessFault("the token was not made", err)
	}
	if weak := ring.Weak(); weak != "" {
		a.note("caiatop: the secret is easy to guess: %s; a service that other machines reach does not start with it", weak)
	}
	if a.json {
		return a.printJSON(a.Stdout, madeToken{token.Value.Reveal(), token.ID, token.Kid, o.subject, rightWords(scopes), token.Expires})
	}
	a.note("token %s for %s, until %s; it is shown only now", token.ID, o.subject, token.Expires.Format(time.RFC3339))
	return emit(a.Stdout, "%s\n", token.Value.Reveal())
}

// jwtKeyring reads the secrets of tokens: from a file, else from the
// environment, else from the folder of the service. The error says what to do
// where there is none.
func jwtKeyring(file, data string) (access.Keyring, error) {
	ring, from, err := readKeyring(file, data)
	if err == nil {
		return ring, nil
	}
	f := &Fault{What: "there is no secret to sign with", Why: coded{err, ErrConfig}, Fix: "mend it in " + from}
	if errors.Is(err, fs.ErrNotExist) {
		f.Why = known{coded{err, ErrConfig}}
		f.Fix = "set GOVC_JWT_SECRET to that of the service, or name its file with --jwt-secret-file or its folder with --data"
	}
	return access.Keyring{}, f
}

// readKeyring is jwtKeyring with the plain error, and where it looked.
func readKeyring(file, data string) (ring access.Keyring, from string, err error) {
	var secrets []config.Secret
	from = file
	switch text, set := os.LookupEnv(secretEnv); {
	case file != "":
		secrets, err = access.ReadSecrets(durable.Volume{}, file)
	case set && text != "":
		from = secretEnv
		secrets, err = access.ParseSecrets(text)
	case data != "":
		from = filepath.Join(data, access.SecretName)
		secrets, err = access.ReadSecrets(durable.Volume{}, from)
	default:
		err = fs.ErrNotExist
	}
	if err == nil {
		ring, err = access.NewKeyring(secrets...)
	}
	return ring, from, err
}

func parseRights(words []string) ([]access.Scope, error) {
	var scopes []access.Scope
	for _, word := range words {
		scope, err := access.ParseScope(word)
		if err != nil {
			return nil, usage(err.Error(), "give a repository and read, write or admin, as in docs:read, team-*:write, *:admin")
		}
		scopes = append(scopes, scope)
	}
	if len(scopes) > access.MaxScopes {
		return nil, usage(fmt.Sprintf("%d rights are more than %d", len(scopes), access.MaxScopes), "use a pattern like team-*")
	}
	return scopes, nil
}

// rightWords are rights for a program: never null.
func rightWords(scopes []access.Scope) []string {
	words := make([]string, len(scopes))
	for i, s := range scopes {
		words[i] = s.String()
	}
	return words
}

// completeRights offers rights for a flag.
func (a *app) completeRights(cmd *cobra.Command, flag string) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return rightsFor(typed)
	})
	if err != nil {
		panic(err) // the flag is not there: a fault of this program
	}
}

// rightsFor completes a right: the word behind the colon, and all repositories
// where none is typed yet.
func rightsFor(typed string) ([]string, cobra.ShellCompDirective) {
	repo, _, found := strings.Cut(typed, ":")
	if repo == "" {
		repo = access.Service
	}
	if !found && typed != "" {
		return []string{repo + ":"}, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	var out []string
	for _, need := range []access.Need{access.Read, access.Write, access.Admin} {
		if word := repo + ":" + need.String(); strings.HasPrefix(word, typed) {
			out = append(out, word)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
