package clients;

import com.nimbusds.jose.util.JSONObjectUtils;
import java.time.Instant;
import java.util.Map;
import java.util.function.Consumer;
import org.springframework.security.oauth2.client.endpoint.JwtBearerGrantRequest;
import org.springframework.security.oauth2.client.endpoint.NimbusJwtClientAuthenticationParametersConverter;
import org.springframework.security.oauth2.client.endpoint.OAuth2ClientCredentialsGrantRequest;
import org.springframework.security.oauth2.client.endpoint.RestClientClientCredentialsTokenResponseClient;
import org.springframework.security.oauth2.client.endpoint.RestClientJwtBearerTokenResponseClient;
import org.springframework.security.oauth2.client.endpoint.RestClientTokenExchangeTokenResponseClient;
import org.springframework.security.oauth2.client.endpoint.TokenExchangeGrantRequest;
import org.springframework.security.oauth2.client.registration.ClientRegistration;
import org.springframework.security.oauth2.core.AuthorizationGrantType;
import org.springframework.security.oauth2.core.ClientAuthenticationMethod;
import org.springframework.security.oauth2.core.OAuth2AccessToken;
import org.springframework.security.oauth2.core.OAuth2AccessToken.TokenType;
import org.springframework.security.oauth2.core.OAuth2AuthorizationException;
import org.springframework.security.oauth2.jwt.Jwt;
import org.springframework.util.MultiValueMap;
import org.springframework.web.client.RestClientResponseException;

/** Spring Security: its client of token exchange; what it does not send by itself is added by `setParametersCustomizer`. */
final class Spring {
  // recipe
  static ClientRegistration registration(
      String issuer, AuthorizationGrantType grant, String id, String secret, ClientAuthenticationMethod method, String... scopes) {
    return ClientRegistration.withRegistrationId("countersign")
        .authorizationGrantType(grant)
        .clientAuthenticationMethod(method)
        .clientId(id)
        .clientSecret(secret)
        .tokenUri(issuer + "/token")
        .scope(scopes)
        .build();
  }

  static RestClientTokenExchangeTokenResponseClient client(String resource, String subjectTokenType, String actorTokenType) {
    var client = new RestClientTokenExchangeTokenResponseClient();
    client.setParametersCustomizer(parameters -> {
      if (!resource.isEmpty()) parameters.set("resource", resource);
      parameters.set("subject_token_type", subjectTokenType);
      if (parameters.containsKey("actor_token")) parameters.set("actor_token_type", actorTokenType);
    });
    return client;
  }
  // end

  private static OAuth2AccessToken token(String value) {
    return value.isEmpty() ? null : new OAuth2AccessToken(TokenType.BEARER, value, Instant.now(), Instant.now().plusSeconds(300));
  }

  private static String exchange(String issuer, Map<String, Object> given) throws Exception {
    ClientAuthenticationMethod method = switch (Driver.text(given, "auth")) {
      case "basic" -> ClientAuthenticationMethod.CLIENT_SECRET_BASIC;
      case "post" -> ClientAuthenticationMethod.CLIENT_SECRET_POST;
      case "private_key_jwt" -> ClientAuthenticationMethod.PRIVATE_KEY_JWT;
      default -> ClientAuthenticationMethod.NONE;
    };
    String scope = Driver.text(given, "scope");
    var registration = registration(issuer, new AuthorizationGrantType(Driver.text(given, "grant")), Driver.text(given, "client_id"), Driver.text(given, "client_secret"), method,
        scope.isEmpty() ? new String[0] : scope.split(" "));
    try {
      return token(registration, given);
    } catch (OAuth2AuthorizationException error) {
      // Answers with another status than 400 it leaves as they are.
      if (error.getCause() instanceof RestClientResponseException answer) {
        var said = JSONObjectUtils.parse(answer.getResponseBodyAsString());
        throw new Driver.Refused((String) said.get("error"), (String) said.get("error_description"));
      }
      throw new Driver.Refused(error.getError().getErrorCode(), error.getMessage());
    }
  }

  private static String token(ClientRegistration registration, Map<String, Object> given) {
    Consumer<MultiValueMap<String, String>> more = parameters -> {
      parameters.set("resource", Driver.text(given, "resource"));
      if (!Driver.text(given, "requested_token_use").isEmpty()) parameters.set("requested_token_use", Driver.text(given, "requested_token_use"));
    };
    if (registration.getAuthorizationGrantType().equals(AuthorizationGrantType.CLIENT_CREDENTIALS)) {
      var client = new RestClientClientCredentialsTokenResponseClient();
      client.setParametersCustomizer(more);
      client.addParametersConverter(new NimbusJwtClientAuthenticationParametersConverter<>(unused -> Driver.key(given)));
      return client.getTokenResponse(new OAuth2ClientCredentialsGrantRequest(registration)).getAccessToken().getTokenValue();
    }
    if (registration.getAuthorizationGrantType().equals(AuthorizationGrantType.JWT_BEARER)) {
      var client = new RestClientJwtBearerTokenResponseClient();
      client.setParametersCustomizer(more);
      client.addParametersConverter(new NimbusJwtClientAuthenticationParametersConverter<>(unused -> Driver.key(given)));
      Jwt assertion = Jwt.withTokenValue(Driver.text(given, "assertion")).header("alg", "ES256").claim("sub", "it").build();
      return client.getTokenResponse(new JwtBearerGrantRequest(registration, assertion)).getAccessToken().getTokenValue();
    }
    var client = client(Driver.text(given, "resource"), Driver.text(given, "subject_token_type"), Driver.text(given, "actor_token_type"));
    client.addParametersConverter(new NimbusJwtClientAuthenticationParametersConverter<>(unused -> Driver.key(given)));
    var request = new TokenExchangeGrantRequest(registration, token(Driver.text(given, "subject_token")), token(Driver.text(given, "actor_token")));
    return client.getTokenResponse(request).getAccessToken().getTokenValue();
  }

  public static void main(String[] arguments) throws Exception {
    Driver.run(arguments[0], Spring::exchange);
  }
}
