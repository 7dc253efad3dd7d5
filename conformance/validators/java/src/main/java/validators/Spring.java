package validators;

import com.nimbusds.jose.util.JSONObjectUtils;
import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.springframework.security.oauth2.core.DelegatingOAuth2TokenValidator;
import org.springframework.security.oauth2.jwt.JwtClaimValidator;
import org.springframework.security.oauth2.jwt.JwtDecoder;
import org.springframework.security.oauth2.jwt.JwtTypeValidator;
import org.springframework.security.oauth2.jwt.JwtValidators;
import org.springframework.security.oauth2.jwt.NimbusJwtDecoder;
import org.springframework.security.oauth2.server.resource.introspection.OpaqueTokenIntrospector;
import org.springframework.security.oauth2.server.resource.introspection.SpringOpaqueTokenIntrospector;

/** The resource server of Spring Security: the bean that takes `at+jwt`, the stock one for APIs with `typ = "JWT"`, and introspection. */
final class Spring {
  // recipe
  /** As a bean; the resource server finds it. Without it Spring refuses the type `at+jwt`. */
  static JwtDecoder jwtDecoder(String issuer, String audience) {
    NimbusJwtDecoder decoder = NimbusJwtDecoder.withIssuerLocation(issuer).validateType(false).build();
    decoder.setJwtValidator(new DelegatingOAuth2TokenValidator<>(
        JwtValidators.createDefaultWithValidators(new JwtTypeValidator("at+jwt")),
        new JwtClaimValidator<Object>("iss", issuer::equals),
        new JwtClaimValidator<List<String>>("aud", aud -> aud != null && aud.contains(audience))));
    return decoder;
  }

  /** What application.yaml makes of `issuer-uri` and `audiences`: for an API whose file here says `typ = "JWT"`. */
  static JwtDecoder stock(String issuer, String audience) {
    NimbusJwtDecoder decoder = NimbusJwtDecoder.withIssuerLocation(issuer).build();
    decoder.setJwtValidator(new DelegatingOAuth2TokenValidator<>(JwtValidators.createDefaultWithIssuer(issuer),
        new JwtClaimValidator<List<String>>("aud", aud -> aud != null && aud.contains(audience))));
    return decoder;
  }

  static OpaqueTokenIntrospector introspector(String issuer, String id, String secret) {
    return SpringOpaqueTokenIntrospector.withIntrospectionUri(issuer + "/introspect").clientId(id).clientSecret(secret).build();
  }
  // end

  private static Function<String, String> validator(Map<String, Object> setup) {
    String issuer = (String) setup.get("issuer");
    String audience = (String) setup.get("audience");
    if (setup.get("how").equals("introspection")) {
      OpaqueTokenIntrospector asking = introspector(issuer, (String) setup.get("client_id"), (String) setup.get("client_secret"));
      return token -> {
        var found = asking.introspect(token);
        if (!String.valueOf((Object) found.getAttribute("aud")).contains(audience)) throw new IllegalStateException("for another audience");
        return found.getName();
      };
    }
    JwtDecoder decoder = setup.get("how").equals("stock") ? stock(issuer, audience) : jwtDecoder(issuer, audience);
    return token -> decoder.decode(token).getSubject();
  }

  public static void main(String[] arguments) throws Exception {
    Map<String, Object> setup = JSONObjectUtils.parse(Files.readString(Path.of(arguments[0])));
    trust((String) setup.get("ca"));
    Function<String, String> validator = validator(setup);
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      Map<String, Object> asked = JSONObjectUtils.parse(line);
      Map<String, Object> answer = new HashMap<>(Map.of("case", asked.get("case")));
      try {
        answer.put("sub", validator.apply((String) asked.get("token")));
      } catch (RuntimeException error) {
        answer.put("detail", error.toString());
      }
      System.out.println(JSONObjectUtils.toJSONString(answer));
    }
  }

  /** Trusts one authority, as a JVM is told with javax.net.ssl.trustStore. */
  private static void trust(String ca) throws Exception {
    if (ca.isEmpty()) return;
    KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null, null);
    store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(new FileInputStream(ca)));
    TrustManagerFactory managers = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    managers.init(store);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(null, managers.getTrustManagers(), null);
    SSLContext.setDefault(context);
    HttpsURLConnection.setDefaultSSLSocketFactory(context.getSocketFactory());
  }
}
