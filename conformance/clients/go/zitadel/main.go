// github.com/zitadel/oidc: its token exchange, by discovery.
package main

import (
	"context"
	"strings"

	"countersign.example/clients/driver"
	"github.com/zitadel/oidc/v3/pkg/client"
	"github.com/zitadel/oidc/v3/pkg/client/tokenexchange"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// recipe
func exchanger(ctx context.Context, issuer, id, secret string) (tokenexchange.TokenExchanger, error) {
	return tokenexchange.NewTokenExchangerClientCredentials(ctx, issuer, id, secret)
}

func exchangerWithKey(ctx context.Context, issuer, id string, pem []byte, kid string) (tokenexchange.TokenExchanger, error) {
	signer, err := client.NewSignerFromPrivateKeyByte(pem, kid)
	if err != nil {
		return nil, err
	}
	return tokenexchange.NewTokenExchangerJWTProfile(ctx, issuer, id, signer)
}

func exchange(ctx context.Context, by tokenexchange.TokenExchanger, subject, kind, actor, actorKind, resource string, scopes []string) (string, error) {
	answer, err := tokenexchange.ExchangeToken(ctx, by, subject, oidc.TokenType(kind), actor, oidc.TokenType(actorKind),
		[]string{resource}, nil, scopes, oidc.AccessTokenType)
	if err != nil {
		return "", err
	}
	return answer.AccessToken, nil
}

// end

func main() {
	ctx := context.Background()
	driver.Run(func(setup driver.Setup, given driver.Case) (string, error) {
		var by tokenexchange.TokenExchanger
		var err error
		switch key := given.Keys["RS256"]; given.Auth {
		case "private_key_jwt":
			by, err = exchangerWithKey(ctx, setup.Issuer, given.ClientID, []byte(key.Pem), key.Kid)
		case "none":
			by, err = tokenexchange.NewTokenExchanger(ctx, setup.Issuer)
		default:
			by, err = exchanger(ctx, setup.Issuer, given.ClientID, given.ClientSecret)
		}
		if err != nil {
			return "", err
		}
		return exchange(ctx, by, given.SubjectToken, given.SubjectTokenType, given.ActorToken, given.ActorTokenType,
			given.Resource, strings.Fields(given.Scope))
	})
}
