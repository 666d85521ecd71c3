package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/backend/govcd/access"
	"github.com/caiatech/caiatop/tui/ui"
)

// shownKey is an API key with --json, as it is kept.
type shownKey struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Scopes   []string   `json:"scopes"`
	State    string     `json:"state"` // live, expired or revoked
	Created  time.Time  `json:"created_at"`
	Expires  *time.Time `json:"expires_at,omitempty"`
	Revoked  *time.Time `json:"revoked_at,omitempty"`
	LastUsed string     `json:"last_used,omitempty"` // a day
}

// madeKey is a new one.
type madeKey struct {
	Key string `json:"key"` // shown once
	shownKey
}

func (a *app) serverKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "apikey", Short: "make, list and revoke API keys of the service", Args: args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			return usage("say what to do with API keys", "use it as: caiatop server apikey create, or: list, revoke")
		},
	}
	cmd.AddCommand(a.keyCreateCommand(), a.keyListCommand(), a.keyRevokeCommand())
	return cmd
}

func (a *app) keyCreateCommand() *cobra.Command {
	var name string
	var repos []string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use: "create", Short: "make an API key", Args: args(0, 0),
		Long: "Makes an API key and writes it to stdout. The service keeps only its hash: whoever loses the key\n" +
			"makes a new one. A running service accepts it within a second.\n\n" +
			"What the key allows is what --repo names and what its name is granted.",
		Example: "  caiatop server apikey create --data /srv/caiatop --name ci --repo docs:write --ttl 2160h",
	}
	cmd.Flags().StringVar(&name, "name", "", "what it is called, a `name` that can be granted rights")
	cmd.Flags().StringArrayVar(&repos, "repo", nil, repoHelp)
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "how long it lives, a `duration` like 2160h; without it has no end")
	a.completeRights(cmd, "repo")
	return a.onRegister(cmd, a.changed, func(ctx context.Context, r access.Register, _ []string) (err error) {
		if name == "" {
			return usage("say what the key is called", "use it as: caiatop server apikey create --name NAME")
		}
		q := access.KeyRequest{Name: name}
		if q.Scopes, err = parseRights(repos); err != nil {
			return err
		}
		switch {
		case ttl < 0 || (ttl == 0 && cmd.Flags().Changed("ttl")):
			return usage(fmt.Sprintf("a key cannot live for %v", ttl), "give a duration like 2160h, or leave --ttl away")
		case ttl > 0:
			q.Expires = a.Now().Add(ttl)
		}
		key, secret, err := r.CreateKey(ctx, q)
		if err != nil {
			return accessFault("the key was not made", err)
		}
		if a.json {
			return a.printJSON(a.Stdout, madeKey{secret.Reveal(), a.shownKey(key, "")})
		}
		until := "without an end"
		if !key.Expires.IsZero() {
			until = "until " + key.Expires.Format(time.RFC3339)
		}
		a.note("key %s of %s, %s; it is shown only now", key.ID, key.Name, until)
		return emit(a.Stdout, "%s\n", secret.Reveal())
	})
}

func (a *app) shownKey(k access.Key, lastUsed string) shownKey {
	s := shownKey{ID: k.ID, Name: k.Name, Scopes: rightWords(k.Scopes), State: "live", Created: k.Created, LastUsed: lastUsed}
	if !k.Expires.IsZero() {
		s.Expires = &k.Expires
		if !a.Now().Before(k.Expires) {
			s.State = "expired"
		}
	}
	if !k.Revoked.IsZero() {
		s.Revoked, s.State = &k.Revoked, "revoked"
	}
	return s
}

func (a *app) keyListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "list the API keys of the service", Args: args(0, 0),
		Long: "Lists the API keys in the order in which they were made, without the keys themselves, which\n" +
			"nobody has any more. LAST USED is a day.",
	}
	return a.onRegister(cmd, a.found, func(_ context.Context, r access.Register, _ []string) error {
		keys, err := r.Keys()
		if err != nil {
			return accessFault("the keys cannot be listed", err)
		}
		used, err := r.LastUsed()
		if err != nil {
			a.note("caiatop: it is not known when keys were used last: %v", err)
		}
		list := make([]shownKey, len(keys))
		rows := [][]string{{"ID", "NAME", "STATE", "RIGHTS", "CREATED", "EXPIRES", "LAST USED"}}
		for i, k := range keys {
			s := a.shownKey(k, used[k.ID])
			list[i] = s
			expires := ui.Unknown
			if s.Expires != nil {
				expires = s.Expires.Format(time.DateOnly)
			}
			rows = append(rows, []string{
				s.ID, s.Name, s.State, orUnknown(strings.Join(s.Scopes, " ")), s.Created.Format(time.DateOnly), expires, orUnknown(s.LastUsed),
			})
		}
		if a.json {
			return a.printJSON(a.Stdout, list)
		}
		return table(a.Stdout, rows)
	})
}

func (a *app) keyRevokeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke KEY", Short: "end an API key", Args: args(1, 1),
		Long: "Ends an API key, named by its id or its name. A running service refuses it within a second. It\n" +
			"stays in the list, and its name can be used again.",
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		var out []string
		data := dataOf(cmd)
		if keys, err := (access.Register{Dir: data}).Keys(); err == nil && len(args) == 0 && data != "" {
			for _, k := range keys {
				if k.Revoked.IsZero() && strings.HasPrefix(k.Name, typed) {
					out = append(out, k.Name)
				}
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
	return a.onRegister(cmd, a.changedThere, func(ctx context.Context, r access.Register, args []string) error {
		key, err := r.RevokeKey(ctx, args[0])
		if err != nil {
			return accessFault("no key was revoked", err)
		}
		if a.json {
			return a.printJSON(a.Stdout, a.shownKey(key, ""))
		}
		return emit(a.Stdout, "revoked key %s of %s\n", safe(key.ID), safe(key.Name))
	})
}
