package clients;

import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.jwk.Curve;
import com.nimbusds.jose.jwk.ECKey;
import com.nimbusds.jose.jwk.gen.ECKeyGenerator;
import com.nimbusds.jwt.SignedJWT;
import com.nimbusds.oauth2.sdk.AuthorizationGrant;
import com.nimbusds.oauth2.sdk.ClientCredentialsGrant;
import com.nimbusds.oauth2.sdk.JWTBearerGrant;
import com.nimbusds.oauth2.sdk.Scope;
import com.nimbusds.oauth2.sdk.TokenRequest;
import com.nimbusds.oauth2.sdk.TokenResponse;
import com.nimbusds.oauth2.sdk.auth.ClientAuthentication;
import com.nimbusds.oauth2.sdk.auth.ClientSecretBasic;
import com.nimbusds.oauth2.sdk.auth.ClientSecretPost;
import com.nimbusds.oauth2.sdk.auth.PrivateKeyJWT;
import com.nimbusds.oauth2.sdk.auth.Secret;
import com.nimbusds.oauth2.sdk.dpop.DPoPProofFactory;
import com.nimbusds.oauth2.sdk.dpop.DefaultDPoPProofFactory;
import com.nimbusds.oauth2.sdk.http.HTTPRequest;
import com.nimbusds.oauth2.sdk.http.HTTPResponse;
import com.nimbusds.oauth2.sdk.id.ClientID;
import com.nimbusds.oauth2.sdk.token.Token;
import com.nimbusds.oauth2.sdk.token.TokenTypeURI;
import com.nimbusds.oauth2.sdk.token.TypelessAccessToken;
import com.nimbusds.oauth2.sdk.tokenexchange.TokenExchangeGrant;
import java.net.URI;
import java.util.List;
import java.util.Map;

/** The OAuth SDK of Nimbus: `TokenExchangeGrant`; repeating a DPoP proof with a nonce is the caller's. */
final class Nimbus {
  // recipe
  static HTTPResponse send(TokenRequest request, DPoPProofFactory dpop) throws Exception {
    HTTPRequest http = request.toHTTPRequest();
    if (dpop != null) http.setDPoP(dpop.createDPoPJWT("POST", request.getEndpointURI(), (com.nimbusds.openid.connect.sdk.Nonce) null));
    HTTPResponse answer = http.send();
    if (dpop == null || answer.getDPoPNonce() == null || answer.indicatesSuccess()) return answer;
    http.setDPoP(dpop.createDPoPJWT("POST", request.getEndpointURI(), answer.getDPoPNonce()));
    return http.send();
  }

  static TokenExchangeGrant grant(String subject, String type, String actor, String actorType) throws Exception {
    Token acting = actor.isEmpty() ? null : new TypelessAccessToken(actor);
    TokenTypeURI actingType = actor.isEmpty() ? null : TokenTypeURI.parse(actorType);
    return new TokenExchangeGrant(new TypelessAccessToken(subject), TokenTypeURI.parse(type), acting, actingType, null, null);
  }
  // end

  private static ClientAuthentication login(URI endpoint, Map<String, Object> given) throws Exception {
    ClientID id = new ClientID(Driver.text(given, "client_id"));
    Secret secret = new Secret(Driver.text(given, "client_secret"));
    return switch (Driver.text(given, "auth")) {
      case "basic" -> new ClientSecretBasic(id, secret);
      case "post" -> new ClientSecretPost(id, secret);
      case "private_key_jwt" -> {
        ECKey key = Driver.key(given);
        yield new PrivateKeyJWT(id, endpoint, JWSAlgorithm.ES256, key.toECPrivateKey(), key.getKeyID(), null);
      }
      default -> null;
    };
  }

  private static String exchange(String issuer, Map<String, Object> given) throws Exception {
    URI endpoint = URI.create(issuer + "/token");
    AuthorizationGrant grant = switch (Driver.text(given, "grant")) {
      case "client_credentials" -> new ClientCredentialsGrant();
      case "urn:ietf:params:oauth:grant-type:jwt-bearer" -> new JWTBearerGrant(SignedJWT.parse(Driver.text(given, "assertion")));
      default -> grant(Driver.text(given, "subject_token"), Driver.text(given, "subject_token_type"),
          Driver.text(given, "actor_token"), Driver.text(given, "actor_token_type"));
    };
    String use = Driver.text(given, "requested_token_use");
    Map<String, List<String>> more = use.isEmpty() ? null : Map.of("requested_token_use", List.of(use));
    Scope scope = Driver.text(given, "scope").isEmpty() ? null : Scope.parse(Driver.text(given, "scope"));
    String target = Driver.text(given, "resource");
    List<URI> resource = target.isEmpty() ? null : List.of(URI.create(target));
    ClientAuthentication login = login(endpoint, given);
    TokenRequest request = login != null
        ? new TokenRequest(endpoint, login, grant, scope, resource, more)
        : new TokenRequest(endpoint, new ClientID(Driver.text(given, "client_id")), grant, scope, resource, null, null);
    DPoPProofFactory dpop = Boolean.TRUE.equals(given.get("dpop"))
        ? new DefaultDPoPProofFactory(new ECKeyGenerator(Curve.P_256).generate(), JWSAlgorithm.ES256)
        : null;
    TokenResponse answer = TokenResponse.parse(send(request, dpop));
    if (answer.indicatesSuccess()) return answer.toSuccessResponse().getTokens().getAccessToken().getValue();
    var error = answer.toErrorResponse().getErrorObject();
    throw new Driver.Refused(error.getCode(), error.getDescription());
  }

  public static void main(String[] arguments) throws Exception {
    Driver.run(arguments[0], Nimbus::exchange);
  }
}
