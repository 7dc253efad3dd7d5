// golang.org/x/oauth2: clientcredentials with another grant_type, the way its own comments name.
package main

import (
	"context"
	"net/url"

	"countersign.example/clients/driver"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// recipe
func token(issuer, id, secret string, style oauth2.AuthStyle, parameters url.Values) (string, error) {
	config := clientcredentials.Config{
		ClientID:       id,
		ClientSecret:   secret,
		TokenURL:       issuer + "/token",
		AuthStyle:      style,
		EndpointParams: parameters,
	}
	source := config.TokenSource(context.Background()) // keep it: it keeps the token
	token, err := source.Token()
	if err != nil {
		return "", err
	}
	return token.AccessToken, nil
}

// end

func main() {
	styles := map[string]oauth2.AuthStyle{"basic": oauth2.AuthStyleAutoDetect, "post": oauth2.AuthStyleInParams}
	driver.Run(func(setup driver.Setup, given driver.Case) (string, error) {
		parameters := url.Values{"grant_type": {given.Grant}}
		for name, value := range map[string]string{
			"subject_token": given.SubjectToken, "subject_token_type": given.SubjectTokenType, "actor_token": given.ActorToken,
			"actor_token_type": given.ActorTokenType, "resource": given.Resource, "scope": given.Scope, "assertion": given.Assertion,
			"requested_token_use": given.RequestedTokenUse,
		} {
			if value != "" {
				parameters.Set(name, value)
			}
		}
		return token(setup.Issuer, given.ClientID, given.ClientSecret, styles[given.Auth], parameters)
	})
}
