// What an application does with pgjdbc, a line for each answer. Usage: java -cp postgresql.jar Jdbc.java HOST PORT
import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import org.postgresql.PGConnection;

public class Jdbc {
  interface Act {
    void run() throws Exception;
  }

  static void say(Object what) {
    System.out.println(what);
  }

  static String sqlstate(Act act) throws Exception {
    try {
      act.run();
      return "no error";
    } catch (SQLException error) {
      return error.getSQLState();
    }
  }

  static String one(Statement statement, String sql) throws SQLException {
    try (ResultSet rows = statement.executeQuery(sql)) {
      rows.next();
      return rows.getString(1);
    }
  }

  public static void main(String[] args) throws Exception {
    String url = "jdbc:postgresql://" + args[0] + ":" + args[1] + "/app?user=app&ApplicationName=twin&prepareThreshold=2&sslmode=disable";
    try (Connection db = DriverManager.getConnection(url); Statement plain = db.createStatement()) {
      plain.execute("create table if not exists jd (id int primary key, t text, n numeric)");
      plain.execute("truncate jd");
      try (PreparedStatement put = db.prepareStatement("insert into jd values (?, ?, ?)")) {
        for (int i = 0; i < 50; i++) {
          put.setInt(1, i);
          put.setString(2, "row " + i);
          put.setBigDecimal(3, new java.math.BigDecimal(i).movePointLeft(1));
          put.addBatch();
        }
        say(put.executeBatch().length);
      }
      try (PreparedStatement get = db.prepareStatement("select t, n from jd where id = ?");
          PreparedStatement set = db.prepareStatement("update jd set t = ? where id = ?")) {
        for (int i = 0; i < 8; i++) {
          set.setString(1, "new " + i);
          set.setInt(2, i);
          set.executeUpdate();
          get.setInt(1, i);
          try (ResultSet rows = get.executeQuery()) {
            rows.next();
            say(rows.getString(1) + " " + rows.getBigDecimal(2));
          }
        }
      }
      say(sqlstate(() -> plain.execute("select * from nowhere")));
      say(sqlstate(() -> plain.execute("insert into jd values (1)")));
      db.setAutoCommit(false);
      plain.execute("insert into jd values (1000)");
      java.sql.Savepoint savepoint = db.setSavepoint();
      say(sqlstate(() -> plain.execute("insert into jd values (1)")));
      db.rollback(savepoint);
      say(one(plain, "select count(*) from jd where id >= 1000"));
      db.commit();
      db.setReadOnly(true);
      plain.setFetchSize(7);
      int sum = 0;
      try (ResultSet rows = plain.executeQuery("select id from jd order by id")) {
        while (rows.next()) sum += rows.getInt(1);
      }
      plain.setFetchSize(0);
      say(sum + " " + one(plain, "show transaction_read_only"));
      say(sqlstate(() -> plain.execute("delete from jd")));
      db.rollback();
      db.setReadOnly(false);
      db.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
      say(one(plain, "show transaction_isolation"));
      db.rollback();
      db.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
      db.setAutoCommit(true);
      var copy = db.unwrap(PGConnection.class).getCopyAPI();
      say(copy.copyIn("copy jd (id, t) from stdin", new StringReader("2000\ttwo\n2001\tthree\n")));
      StringWriter out = new StringWriter();
      copy.copyOut("copy (select id, t from jd where id >= 2000 order by id) to stdout", out);
      say(out.toString().replace("\n", "|"));
      plain.execute("alter table jd add more int");
      say(one(plain, "select count(*) from jd"));
      plain.execute("alter table jd drop more");
      Thread cancels = new Thread(() -> {
        try {
          Thread.sleep(300);
          plain.cancel();
        } catch (Exception error) {
          say(error);
        }
      });
      cancels.start();
      say(sqlstate(() -> plain.execute("select pg_sleep(20)")));
      cancels.join();
      say(one(plain, "select 1"));
      plain.setQueryTimeout(1);
      say(sqlstate(() -> plain.execute("select pg_sleep(20)")));
      plain.setQueryTimeout(0);
      say(one(plain, "select 2") + " " + db.isValid(5));
      db.setSchema("pg_catalog");
      say(db.getSchema());
      var types = db.getMetaData().getTables(null, "public", "jd", null);
      types.next();
      say(types.getString("TABLE_NAME"));
    }
  }
}
