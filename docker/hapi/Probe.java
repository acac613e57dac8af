import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.URI;

/** Health check of a server whose image has neither a shell nor curl: exits 0 when the address answers 200. */
public class Probe {

  public static void main(String[] arguments) throws IOException {
    System.exit(statusOf(URI.create(arguments[0])) == 200 ? 0 : 1);
  }

  private static int statusOf(URI address) throws IOException {
    HttpURLConnection connection = (HttpURLConnection) address.toURL().openConnection();
    connection.setConnectTimeout(5_000);
    connection.setReadTimeout(5_000);
    return connection.getResponseCode();
  }
}
