import java.net.HttpURLConnection;
import java.net.URI;

/** Health check of a server whose image has neither a shell nor curl: exits 0 when the address answers 200. */
public class Probe {

  public static void main(String[] arguments) throws Exception {
    HttpURLConnection connection = (HttpURLConnection) URI.create(arguments[0]).toURL().openConnection();
    connection.setConnectTimeout(5_000);
    connection.setReadTimeout(5_000);
    System.exit(connection.getResponseCode() == 200 ? 0 : 1);
  }
}
