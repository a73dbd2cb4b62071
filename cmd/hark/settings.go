package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// fill sets the flags that were not given on the command line: from the
// environment, HARK_MAX_CLIENTS for --max-clients, else from a file in JSON,
// {"max-clients": 100}. A flag that takes a list takes one in the file, and a
// text with commas from the environment.
func fill(flags *pflag.FlagSet, file string, getenv func(string) string) error {
	settings, err := readSettings(file)
	if err != nil {
		return err
	}
	var all []error
	flags.VisitAll(func(f *pflag.Flag) {
		values, given := settings[f.Name]
		delete(settings, f.Name)
		if f.Changed {
			return
		}
		if name := variable(f.Name); getenv(name) != "" {
			if err := flags.Set(f.Name, getenv(name)); err != nil {
				all = append(all, fmt.Errorf("%s: %w", name, err))
			}
			return
		}
		if !given {
			return
		}
		for _, value := range values {
			if err := flags.Set(f.Name, value); err != nil {
				all = append(all, fmt.Errorf("%s: %q: %w", file, f.Name, err))
			}
		}
	})
	for name := range settings {
		all = append(all, fmt.Errorf("%s: %q is no setting; they are named as the flags are", file, name))
	}
	return errors.Join(all...)
}

func variable(flag string) string {
	return "HARK_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// readSettings returns the values in a file by name.
func readSettings(file string) (map[string][]string, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, fmt.Errorf("%s: it must be a JSON object: %w", file, err)
	}
	settings := make(map[string][]string, len(fields))
	for name, raw := range fields {
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) != nil {
			list = []json.RawMessage{raw}
		}
		settings[name] = []string{}
		for _, one := range list {
			var text string
			if json.Unmarshal(one, &text) != nil {
				text = string(one) // a number, true or false
			}
			settings[name] = append(settings[name], text)
		}
	}
	return settings, nil
}
