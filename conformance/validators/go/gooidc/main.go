// github.com/coreos/go-oidc: a provider by discovery, and its verifier.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"

	"github.com/coreos/go-oidc/v3/oidc"
)

// recipe
func verifier(ctx context.Context, issuer, audience string) (*oidc.IDTokenVerifier, error) {
	provider, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return nil, err
	}
	return provider.Verifier(&oidc.Config{ClientID: audience}), nil
}

// end

type setup struct{ Issuer, Audience string }

type line struct {
	Case   string `json:"case"`
	Token  string `json:"token,omitempty"`
	Sub    string `json:"sub,omitempty"`
	Detail string `json:"detail,omitempty"`
}

func main() {
	ctx := context.Background()
	var given setup
	file, err := os.ReadFile(os.Args[1])
	if err == nil {
		err = json.Unmarshal(file, &given)
	}
	if err != nil {
		panic(err)
	}
	verify, err := verifier(ctx, given.Issuer, given.Audience)
	if err != nil {
		panic(err)
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var asked line
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			panic(err)
		}
		answer := line{Case: asked.Case}
		if token, err := verify.Verify(ctx, asked.Token); err != nil {
			answer.Detail = err.Error()
		} else {
			answer.Sub = token.Subject
		}
		_ = json.NewEncoder(os.Stdout).Encode(answer)
	}
}
