package clients;

import com.nimbusds.jose.util.JSONObjectUtils;
import java.time.Instant;
import java.util.Map;
import org.springframework.security.oauth2.client.endpoint.NimbusJwtClientAuthenticationParametersConverter;
import org.springframework.security.oauth2.client.endpoint.RestClientTokenExchangeTokenResponseClient;
import org.springframework.security.oauth2.client.endpoint.TokenExchangeGrantRequest;
import org.springframework.security.oauth2.client.registration.ClientRegistration;
import org.springframework.security.oauth2.core.AuthorizationGrantType;
import org.springframework.security.oauth2.core.ClientAuthenticationMethod;
import org.springframework.security.oauth2.core.OAuth2AccessToken;
import org.springframework.security.oauth2.core.OAuth2AccessToken.TokenType;
import org.springframework.security.oauth2.core.OAuth2AuthorizationException;
import org.springframework.web.client.RestClientResponseException;

/** Spring Security: its client of token exchange; what it does not send by itself is added by `setParametersCustomizer`. */
final class Spring {
  // recipe
  static ClientRegistration registration(String issuer, String id, String secret, ClientAuthenticationMethod method, String... scopes) {
    return ClientRegistration.withRegistrationId("countersign")
        .authorizationGrantType(AuthorizationGrantType.TOKEN_EXCHANGE)
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
      parameters.set("resource", resource);
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
    var registration = registration(issuer, Driver.text(given, "client_id"), Driver.text(given, "client_secret"), method,
        scope.isEmpty() ? new String[0] : scope.split(" "));
    var client = client(Driver.text(given, "resource"), Driver.text(given, "subject_token_type"), Driver.text(given, "actor_token_type"));
    client.addParametersConverter(new NimbusJwtClientAuthenticationParametersConverter<>(unused -> Driver.key(given)));
    try {
      var request = new TokenExchangeGrantRequest(registration, token(Driver.text(given, "subject_token")), token(Driver.text(given, "actor_token")));
      return client.getTokenResponse(request).getAccessToken().getTokenValue();
    } catch (OAuth2AuthorizationException error) {
      // Answers with another status than 400 it leaves as they are.
      if (error.getCause() instanceof RestClientResponseException answer) {
        var said = JSONObjectUtils.parse(answer.getResponseBodyAsString());
        throw new Driver.Refused((String) said.get("error"), (String) said.get("error_description"));
      }
      throw new Driver.Refused(error.getError().getErrorCode(), error.getMessage());
    }
  }

  public static void main(String[] arguments) throws Exception {
    Driver.run(arguments[0], Spring::exchange);
  }
}
