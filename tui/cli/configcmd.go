package cli

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/config"
)

// shownSetting is one setting with --json.
type shownSetting struct {
	Key   string `json:"key"`
	Value string `json:"value"` // "[redacted]" for a secret that is set
	From  string `json:"from"`
	Help  string `json:"help"`
}

type shownConfig struct {
	File     string         `json:"file,omitempty"`
	StateDir string         `json:"state_dir"` // of this repository of this service
	Settings []shownSetting `json:"settings"`
}

// mistake is one thing that is wrong with the configuration, with --json.
type mistake struct {
	Key     string `json:"key,omitempty"`
	Where   string `json:"where"`
	Problem string `json:"problem"`
	Fix     string `json:"fix"`
}

type configVerdict struct {
	OK       bool      `json:"ok"`
	Mistakes []mistake `json:"mistakes"`
}

func (a *app) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "show or check the configuration", Args: args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			return usage("say what to do with the configuration", "use it as: caiatop config show, or: caiatop config check [FILE]")
		},
	}
	show := &cobra.Command{
		Use: "show", Short: "list every setting, its value and where that comes from", Args: args(0, 0),
		Long: "Lists every setting, its value and where that comes from: a flag, the environment, a line of the\n" +
			"file, or the default. Secrets are not shown.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, mistakes := a.Settings(flagsOf(cmd))
			if len(mistakes) > 0 {
				return configFault(mistakes[0])
			}
			return a.showConfig(cfg)
		},
	}
	check := &cobra.Command{
		Use: "check [FILE]", Short: "say everything that is wrong with the configuration", Args: args(0, 1),
		Long: "Checks FILE, or the file that is in use, with the environment and the flags. Every mistake is one\n" +
			"line on stdout: where it is, what it is about, what is wrong, and what to do. The exit code is 78\n" +
			"if there is one.",
		RunE: func(cmd *cobra.Command, args []string) error {
			flags := flagsOf(cmd)
			if len(args) > 0 {
				flags["config"] = args[0]
			}
			cfg, mistakes := a.Settings(flags)
			return a.verdict(cfg, mistakes)
		},
	}
	a.jsonFlag(show)
	a.jsonFlag(check)
	cmd.AddCommand(show, check)
	return cmd
}

func (a *app) showConfig(cfg config.Config) error {
	out := shownConfig{File: cfg.File, StateDir: cfg.StatePath()}
	rows := [][]string{{"SETTING", "VALUE", "FROM"}}
	for _, o := range cfg.Origins() {
		out.Settings = append(out.Settings, shownSetting(o))
		value := o.Value
		if value == "" {
			value = "-"
		}
		rows = append(rows, []string{o.Key, value, o.From})
	}
	if a.json {
		return a.printJSON(a.Stdout, out)
	}
	if err := table(a.Stdout, rows); err != nil {
		return err
	}
	file := cfg.File
	if file == "" {
		file = "none"
	}
	return emit(a.Stdout, "\nfile: %s\nstate folder: %s\n", safe(file), safe(cfg.StatePath()))
}

// plainKey is a key without the quotes that one has which is no setting.
func plainKey(key string) string {
	if plain, err := strconv.Unquote(key); err == nil {
		return plain
	}
	return key
}

func (a *app) verdict(cfg config.Config, mistakes []*config.Error) error {
	out := configVerdict{OK: len(mistakes) == 0, Mistakes: []mistake{}}
	for _, e := range mistakes {
		out.Mistakes = append(out.Mistakes, mistake{plainKey(e.Key), e.Origin, e.Problem, e.Fix})
		if f, ok := configFault(e).(*Fault); ok && !a.json {
			if err := emit(a.Stdout, "%s\n", safe(join(f.Error(), f.Fix))); err != nil {
				return err
			}
		}
	}
	if a.json {
		if err := a.printJSON(a.Stdout, out); err != nil {
			return err
		}
	}
	if !out.OK {
		a.note("%s", count(len(mistakes), "mistake"))
		return ExitCode(ExitConfig)
	}
	if !a.json {
		file := cfg.File
		if file == "" {
			file = "no file, environment and flags"
		}
		return emit(a.Stdout, "nothing is wrong: %s\n", safe(file))
	}
	return nil
}
