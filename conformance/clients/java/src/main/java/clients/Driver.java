package clients;

import com.nimbusds.jose.jwk.ECKey;
import com.nimbusds.jose.util.JSONObjectUtils;
import java.io.FileInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.text.ParseException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** Runs an exchange for every case of the file that is named, and says what came of it, a line of JSON each. */
final class Driver {
  interface Exchange {
    String token(String issuer, Map<String, Object> given) throws Exception;
  }

  /** An OAuth error of the server. */
  static final class Refused extends Exception {
    final String code;

    Refused(String code, String description) {
      super(description);
      this.code = code;
    }
  }

  static String text(Map<String, Object> given, String name) {
    return (String) given.get(name);
  }

  /** The private key of the client. */
  @SuppressWarnings("unchecked")
  static ECKey key(Map<String, Object> given) {
    try {
      return ECKey.parse((Map<String, Object>) given.get("jwk"));
    } catch (ParseException error) {
      throw new IllegalStateException(error);
    }
  }

  @SuppressWarnings("unchecked")
  static void run(String file, Exchange exchange) throws Exception {
    Map<String, Object> setup = JSONObjectUtils.parse(Files.readString(Path.of(file)));
    trust((String) setup.get("ca"));
    for (Map<String, Object> given : (List<Map<String, Object>>) setup.get("cases")) {
      Map<String, Object> line = new HashMap<>(Map.of("case", given.get("case")));
      try {
        line.put("token", exchange.token((String) setup.get("issuer"), given));
      } catch (Refused refused) {
        line.putAll(Map.of("error", refused.code, "detail", String.valueOf(refused.getMessage())));
      } catch (Exception error) {
        line.put("detail", error.toString());
      }
      System.out.println(JSONObjectUtils.toJSONString(line));
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
