// Package driver runs an exchange for every case of the file that is named, and says what came of it, a line of JSON each.
package driver

import (
	"encoding/json"
	"errors"
	"os"
	"regexp"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"
)

// Key is a private key as PEM.
type Key struct{ Kid, Pem string }

// Setup is what all cases have in common.
type Setup struct {
	Issuer string
	Cases  []Case
}

// Case is one case as the harness writes it.
type Case struct {
	Case, Grant, Auth, Resource, Audience, Scope string
	ClientID                                     string `json:"client_id"`
	ClientSecret                                 string `json:"client_secret"`
	SubjectToken                                 string `json:"subject_token"`
	SubjectTokenType                             string `json:"subject_token_type"`
	ActorToken                                   string `json:"actor_token"`
	ActorTokenType                               string `json:"actor_token_type"`
	Assertion                                    string
	RequestedTokenUse                            string `json:"requested_token_use"`
	Keys                                         map[string]Key
}

var codes = regexp.MustCompile(`\b(invalid_[a-z_]+|unauthorized_client|unsupported_[a-z_]+|access_denied)\b`)

func codeOf(err error) string {
	var retrieve *oauth2.RetrieveError
	var other *oidc.Error
	switch {
	case errors.As(err, &retrieve) && retrieve.ErrorCode != "":
		return retrieve.ErrorCode
	case errors.As(err, &other):
		return string(other.ErrorType)
	default:
		return codes.FindString(err.Error())
	}
}

// Run runs every case.
func Run(exchange func(Setup, Case) (string, error)) {
	var setup Setup
	file, err := os.ReadFile(os.Args[1])
	if err == nil {
		err = json.Unmarshal(file, &setup)
	}
	if err != nil {
		panic(err)
	}
	for _, given := range setup.Cases {
		line := map[string]string{"case": given.Case}
		if token, err := exchange(setup, given); err != nil {
			line["error"], line["detail"] = codeOf(err), err.Error()
		} else {
			line["token"] = token
		}
		_ = json.NewEncoder(os.Stdout).Encode(line)
	}
}
