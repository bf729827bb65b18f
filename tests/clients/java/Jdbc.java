// pgjdbc. Run as a program of one file; it prints a line for each check and ends with how many passed and failed.

import java.io.IOException;
import java.io.StringReader;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Array;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Types;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.PGStatement;
import org.postgresql.util.PGobject;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

public class Jdbc {
    static final String TEXTS = "SELECT id, ecommerce_ml.predict_sentiment(body), ecommerce_ml.predict_sentiment_score(body),"
        + " ecommerce_ml.predict_rating(body), ecommerce_ml.predict_class(body), ecommerce_ml.predict_confidence(body),"
        + " ecommerce_ml.predict_probabilities(body) FROM reviews";
    static final String SLOW = "SELECT avg(ecommerce_ml.predict_sentiment_score(body || n))"
        + " FROM reviews, generate_series(1, 100000) AS n";

    interface Check { void run(Connection connection) throws Exception; }

    static int passed;
    static int failed;

    static void check(String name, String options, Check check) {
        try (Connection connection = connect(options)) {
            try (Statement statement = connection.createStatement()) {
                statement.execute("TRUNCATE inbox");
            }
            check.run(connection);
            passed++;
            System.out.println("ok    " + name);
        } catch (Exception | AssertionError error) {
            failed++;
            System.out.println("FAIL  " + name + ": " + error);
        }
    }

    static Connection connect(String options) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", System.getenv("PGUSER"));
        properties.setProperty("ApplicationName", "pgjdbc");
        String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE");
        return DriverManager.getConnection(url + "?" + options, properties);
    }

    // Rows of a query as psql showed them; null is NULL.
    static List<String[]> expected(String name) throws IOException {
        List<String[]> rows = new ArrayList<>();
        List<String> lines = Files.readAllLines(Path.of(System.getenv("EXPECTED"), name + ".tsv"));
        for (String line : lines.subList(1, lines.size())) {
            String[] row = line.split("\t", -1);
            for (int column = 0; column < row.length; column++) {
                if (row[column].equals("\\N")) row[column] = null;
            }
            rows.add(row);
        }
        return rows;
    }

    static void same(Object found, Object wanted) {
        if (!Objects.equals(found, wanted)) throw new AssertionError("found " + found + ", psql shows " + wanted);
    }

    static Float single(String value) { return value == null ? null : Float.valueOf(value); }

    static Float single(ResultSet rows, int column) throws SQLException {
        float value = rows.getFloat(column);
        return rows.wasNull() ? null : value;
    }

    // Compares one row of TEXTS, by the getters of each type.
    static void sameText(ResultSet rows, String[] wanted) throws SQLException {
        same(rows.getLong(1), Long.valueOf(wanted[0]));
        same(rows.getString(2), wanted[1]);
        same(single(rows, 3), single(wanted[2]));
        same(single(rows, 4), single(wanted[3]));
        same(rows.getString(5), wanted[4]);
        same(single(rows, 6), single(wanted[5]));
        same(rows.getString(7), wanted[6]);
        Object probabilities = rows.getObject(7);
        if (probabilities != null) same(((PGobject) probabilities).getType(), "jsonb");
    }

    static void sameTexts(Statement statement) throws Exception {
        try (ResultSet rows = statement.executeQuery(TEXTS + " ORDER BY id")) {
            for (String[] wanted : expected("texts")) {
                same(rows.next(), true);
                sameText(rows, wanted);
            }
            same(rows.next(), false);
        }
    }

    static String value(Connection connection, String query) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(query)) {
            rows.next();
            return rows.getString(1);
        }
    }

    static SQLException fails(Connection connection, String query) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(query);
        } catch (SQLException error) {
            return error;
        }
        throw new AssertionError(query + " doesn't fail");
    }

    static PGobject json(String text) throws SQLException {
        PGobject json = new PGobject();
        json.setType("jsonb");
        json.setValue(text);
        return json;
    }

    static void keptMoods(Connection connection, int count) throws SQLException {
        value(connection, "SELECT ecommerce_ml.refresh_column('inbox', 'mood')");
        same(value(connection, "SELECT count(*) FROM inbox WHERE mood_model = 'reviews@1'"
            + " AND mood IS NOT DISTINCT FROM ecommerce_ml.predict_sentiment_score(body)"), String.valueOf(count));
    }

    static List<String[]> bodies(Connection connection) throws SQLException {
        List<String[]> bodies = new ArrayList<>();
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery("SELECT id, body FROM reviews")) {
            while (rows.next()) bodies.add(new String[] {rows.getString(1), rows.getString(2)});
        }
        return bodies;
    }

    static void answers(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement()) { sameTexts(statement); }
    }

    // From the fifth execution on the server prepares it, and from then on values come in binary.
    static void serverPrepared(Connection connection) throws Exception {
        try (PreparedStatement statement = connection.prepareStatement(TEXTS + " WHERE id = ?")) {
            List<String[]> texts = expected("texts");
            for (int i = 0; i < 12; i++) {
                statement.setLong(1, Long.parseLong(texts.get(i)[0]));
                try (ResultSet rows = statement.executeQuery()) {
                    rows.next();
                    sameText(rows, texts.get(i));
                }
            }
            same(statement.unwrap(PGStatement.class).isUseServerPrepare(), true);
            for (String[] wanted : texts) {
                statement.setLong(1, Long.parseLong(wanted[0]));
                try (ResultSet rows = statement.executeQuery()) {
                    rows.next();
                    sameText(rows, wanted);
                }
            }
        }
    }

    static void defaultModel(Connection connection) throws Exception {
        List<String[]> texts = expected("texts"), moods = expected("moods");
        try (PreparedStatement statement = connection.prepareStatement("SELECT ecommerce_ml.predict_sentiment(body) FROM reviews WHERE id = ?")) {
            for (boolean other : new boolean[] {false, true, false}) {
                if (other) value(connection, "SELECT set_config('ecommerce_ml.default_model', 'moods', false)");
                else connection.createStatement().execute("RESET ecommerce_ml.default_model");
                for (int i = 0; i < 20; i++) {
                    statement.setLong(1, i + 1);
                    try (ResultSet rows = statement.executeQuery()) {
                        rows.next();
                        same(rows.getString(1), other ? moods.get(i)[1] : texts.get(i)[1]);
                    }
                }
            }
        }
    }

    static void fetchSize(Connection connection) throws Exception {
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.setFetchSize(7);
            sameTexts(statement);
        }
        connection.commit();
    }

    static void scrolling(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_READ_ONLY);
             ResultSet rows = statement.executeQuery(TEXTS + " ORDER BY id")) {
            List<String[]> texts = expected("texts");
            rows.afterLast();
            for (int i = texts.size() - 1; i >= 0; i--) {
                same(rows.previous(), true);
                sameText(rows, texts.get(i));
            }
        }
    }

    static void parameters(Connection connection) throws Exception {
        List<String[]> texts = expected("texts");
        List<String[]> bodies = bodies(connection);
        try (PreparedStatement statement = connection.prepareStatement("SELECT ecommerce_ml.predict_sentiment_score(?)")) {
            for (String[] row : bodies.subList(190, bodies.size())) {
                if (row[1] == null) statement.setNull(1, Types.VARCHAR); else statement.setString(1, row[1]);
                try (ResultSet rows = statement.executeQuery()) {
                    rows.next();
                    same(single(rows, 1), single(texts.get(Integer.parseInt(row[0]) - 1)[2]));
                }
            }
        }
    }

    static void arrays(Connection connection) throws Exception {
        try (PreparedStatement statement = connection.prepareStatement("SELECT ecommerce_ml.predict_sentiment(?)")) {
            statement.setArray(1, connection.createArrayOf("text", new String[] {"I love it", null, "I hate it"}));
            try (ResultSet rows = statement.executeQuery()) {
                rows.next();
                same(List.of("positive", "null", "negative"), strings(rows.getArray(1)));
            }
        }
        try (PreparedStatement statement = connection.prepareStatement("SELECT id, ecommerce_ml.embed(body) FROM reviews WHERE id = ?")) {
            // Often enough for both formats.
            for (int round = 0; round < 8; round++) {
                for (String[] wanted : expected("embeddings")) {
                    statement.setLong(1, Long.parseLong(wanted[0]));
                    try (ResultSet rows = statement.executeQuery()) {
                        rows.next();
                        Array array = rows.getArray(2);
                        if (wanted[1] == null) { same(array, null); continue; }
                        Float[] found = (Float[]) array.getArray();
                        String[] numbers = wanted[1].substring(1, wanted[1].length() - 1).split(",");
                        same(found.length, numbers.length);
                        for (int i = 0; i < found.length; i++) same(found[i], Float.valueOf(numbers[i]));
                    }
                }
            }
        }
    }

    static List<String> strings(Array array) throws SQLException {
        List<String> strings = new ArrayList<>();
        for (Object one : (Object[]) array.getArray()) strings.add(String.valueOf(one));
        return strings;
    }

    static void rowsAndWhatIf(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement();
             ResultSet rows = statement.executeQuery("SELECT id, ecommerce_ml.predict_class(v, 'buyers'),"
                 + " ecommerce_ml.predict_probabilities(v, 'buyers') FROM visits AS v ORDER BY id")) {
            for (String[] wanted : expected("rows")) {
                rows.next();
                for (int column = 1; column <= 3; column++) same(rows.getString(column), wanted[column - 1]);
            }
        }
        try (PreparedStatement statement = connection.prepareStatement("SELECT ecommerce_ml.predict_class(?, 'buyers'), ecommerce_ml.predict_confidence(?, 'buyers')")) {
            for (String[] wanted : expected("what_if")) {
                PGobject question = json("{\"pages\": " + wanted[0] + ", \"country\": \"AT\"}");
                statement.setObject(1, question);
                statement.setObject(2, question);
                try (ResultSet rows = statement.executeQuery()) {
                    rows.next();
                    same(rows.getString(1), wanted[1]);
                    same(single(rows, 2), single(wanted[2]));
                }
            }
        }
        try (PreparedStatement statement = connection.prepareStatement("SELECT ecommerce_ml.predict_class(?, 'buyers')")) {
            statement.setString(1, "{\"pages\": 9, \"country\": \"AT\"}");
            try { statement.executeQuery(); throw new AssertionError("a string is taken for JSON"); }
            catch (SQLException error) { same(error.getSQLState(), "42809"); }
        }
    }

    static void summaries(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement();
             ResultSet rows = statement.executeQuery("SELECT product_id, (ecommerce_ml.summarize_reviews(body)).* FROM reviews GROUP BY 1 ORDER BY 1")) {
            for (String[] wanted : expected("summaries")) {
                rows.next();
                for (int column = 1; column <= wanted.length; column++) same(rows.getString(column), wanted[column - 1]);
            }
        }
    }

    static void batches(Connection connection) throws Exception {
        try (PreparedStatement statement = connection.prepareStatement("INSERT INTO inbox (id, body) VALUES (?, ?)")) {
            for (String[] row : bodies(connection)) {
                statement.setLong(1, Long.parseLong(row[0]));
                statement.setString(2, row[1]);
                statement.addBatch();
            }
            statement.executeBatch();
        }
        keptMoods(connection, 206);
    }

    static void batchThatFails(Connection connection) throws Exception {
        connection.setAutoCommit(false);
        try (PreparedStatement statement = connection.prepareStatement("INSERT INTO inbox (id, body) SELECT ?, ? WHERE ecommerce_ml.predict_sentiment(?, ?) IS NOT NULL")) {
            for (int i = 0; i < 5; i++) {
                statement.setLong(1, i);
                statement.setString(2, "I love it");
                statement.setString(3, "I love it");
                statement.setString(4, i == 3 ? "nosuch" : "reviews");
                statement.addBatch();
            }
            statement.executeBatch();
            throw new AssertionError("the batch passed");
        } catch (BatchUpdateException error) {
            same(error.getSQLState(), "42704");
        }
        connection.rollback();
        same(value(connection, "SELECT count(*) FROM inbox"), "0");
    }

    static void copying(Connection connection) throws Exception {
        StringBuilder lines = new StringBuilder();
        for (String[] row : bodies(connection)) {
            String body = row[1] == null ? "\\N" : row[1].replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r");
            lines.append(row[0]).append('\t').append(body).append('\n');
        }
        connection.unwrap(PGConnection.class).getCopyAPI().copyIn("COPY inbox (id, body) FROM STDIN", new StringReader(lines.toString()));
        keptMoods(connection, 206);
        StringWriter out = new StringWriter();
        connection.unwrap(PGConnection.class).getCopyAPI()
            .copyOut("COPY (SELECT id, ecommerce_ml.predict_sentiment(body) FROM reviews ORDER BY id) TO STDOUT", out);
        String[] found = out.toString().split("\n");
        List<String[]> texts = expected("texts");
        same(found.length, texts.size());
        for (int i = 0; i < found.length; i++) same(found[i], texts.get(i)[0] + "\t" + Objects.requireNonNullElse(texts.get(i)[1], "\\N"));
    }

    static void errors(Connection connection) throws Exception {
        for (String[] failure : expected("failures")) {
            SQLException error = fails(connection, failure[1]);
            ServerErrorMessage told = ((PSQLException) error).getServerErrorMessage();
            same(error.getSQLState(), failure[2]);
            same(told.getMessage(), failure[3]);
            same(Objects.requireNonNullElse(told.getDetail(), ""), failure[4]);
            same(Objects.requireNonNullElse(told.getHint(), ""), failure[5]);
        }
    }

    static void waitUntilActive() throws Exception {
        try (Connection other = connect("")) {
            while (value(other, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT avg(%'"
                + " AND query_start < clock_timestamp() - interval '0.5 s'").equals("0")) Thread.sleep(100);
        }
    }

    static void cancelling(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement()) {
            Thread canceller = new Thread(() -> {
                try { waitUntilActive(); statement.cancel(); } catch (Exception error) { throw new RuntimeException(error); }
            });
            canceller.start();
            try { statement.execute(SLOW); throw new AssertionError("not cancelled"); }
            catch (SQLException error) { same(error.getSQLState(), "57014"); }
            canceller.join();
            sameTexts(statement);
            statement.setQueryTimeout(1);
            try { statement.execute(SLOW); throw new AssertionError("no timeout"); }
            catch (SQLException error) { same(error.getSQLState(), "57014"); }
            statement.setQueryTimeout(0);
            sameTexts(statement);
        }
    }

    static void transactions(Connection connection) throws Exception {
        connection.setAutoCommit(false);
        value(connection, "INSERT INTO inbox (id, body) VALUES (1, 'I love it') RETURNING id");
        same(fails(connection, "SELECT ecommerce_ml.predict_sentiment(body, 'nosuch') FROM inbox").getSQLState(), "42704");
        same(fails(connection, "SELECT ecommerce_ml.predict_sentiment(body) FROM inbox").getSQLState(), "25P02");
        connection.rollback();
        same(value(connection, "SELECT count(*) FROM inbox"), "0");
        value(connection, "INSERT INTO inbox (id, body) VALUES (1, 'I love it') RETURNING id");
        var savepoint = connection.setSavepoint();
        same(fails(connection, "SELECT ecommerce_ml.predict_sentiment(body, 'nosuch') FROM inbox").getSQLState(), "42704");
        connection.rollback(savepoint);
        same(value(connection, "SELECT ecommerce_ml.predict_sentiment(body) FROM inbox"), "positive");
        connection.commit();
        connection.setAutoCommit(true);
        keptMoods(connection, 1);
    }

    // With autosave the driver sets savepoints by itself, as BI tools have it do.
    static void autosave(Connection connection) throws Exception {
        connection.setAutoCommit(false);
        value(connection, "INSERT INTO inbox (id, body) VALUES (1, 'I love it') RETURNING id");
        same(fails(connection, "SELECT ecommerce_ml.predict_sentiment(body, 'nosuch') FROM inbox").getSQLState(), "42704");
        same(value(connection, "SELECT ecommerce_ml.predict_sentiment(body) FROM inbox"), "positive");
        connection.commit();
    }

    // What BI tools ask the driver about tables and functions.
    static void metadata(Connection connection) throws Exception {
        DatabaseMetaData metadata = connection.getMetaData();
        try (ResultSet columns = metadata.getColumns(null, "public", "reviews", "mood%")) {
            columns.next();
            same(columns.getString("COLUMN_NAME") + " " + columns.getString("TYPE_NAME") + " " + columns.getString("IS_NULLABLE"), "mood float4 YES");
            columns.next();
            same(columns.getString("COLUMN_NAME") + " " + columns.getString("TYPE_NAME"), "mood_model text");
        }
        List<String> views = new ArrayList<>();
        try (ResultSet tables = metadata.getTables(null, "ecommerce_ml", "%", new String[] {"VIEW"})) {
            while (tables.next()) views.add(tables.getString("TABLE_NAME"));
        }
        same(views.containsAll(List.of("models", "jobs", "kept_columns", "stat_engine")), true);
        for (String view : views) {
            if (value(connection, "SELECT has_table_privilege('ecommerce_ml." + view + "', 'SELECT')").equals("f")) continue;
            try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery("SELECT * FROM ecommerce_ml." + view)) {
                int columns = rows.getMetaData().getColumnCount();
                while (rows.next()) for (int column = 1; column <= columns; column++) rows.getObject(column);
            } catch (SQLException error) {
                throw new AssertionError("ecommerce_ml." + view + ": " + error.getMessage());
            }
        }
        List<String> functions = new ArrayList<>();
        try (ResultSet found = metadata.getFunctions(null, "ecommerce_ml", "predict_sentiment")) {
            while (found.next()) functions.add(found.getString("FUNCTION_NAME"));
        }
        same(functions.size(), 4);
        try (PreparedStatement statement = connection.prepareStatement(TEXTS + " WHERE id = ?")) {
            same(statement.getMetaData().getColumnTypeName(3), "float4");
            same(statement.getMetaData().getColumnTypeName(7), "jsonb");
        }
    }

    static void notices(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement();
             ResultSet rows = statement.executeQuery("SELECT ecommerce_ml.predict_sentiment(body), ecommerce_ml.predict_confidence(body) FROM reviews WHERE id = 204")) {
            rows.next();
            same(rows.getString(1), null);
            same(rows.getFloat(2), 0.0f);
            if (statement.getWarnings() == null) throw new AssertionError("no warning");
        }
    }

    public static void main(String[] arguments) throws Exception {
        System.out.println("pgjdbc " + org.postgresql.util.DriverInfo.DRIVER_VERSION);
        check("answers", "", Jdbc::answers);
        check("answers of simple queries", "preferQueryMode=simple", Jdbc::answers);
        check("answers in binary at once", "prepareThreshold=-1", Jdbc::answers);
        check("a statement that the server prepares", "", Jdbc::serverPrepared);
        check("a prepared statement heeds default_model", "", Jdbc::defaultModel);
        check("rows in parts by setFetchSize", "", Jdbc::fetchSize);
        check("rows read backward", "", Jdbc::scrolling);
        check("texts and NULL as parameters", "", Jdbc::parameters);
        check("arrays", "", Jdbc::arrays);
        check("rows, and jsonb as a parameter", "", Jdbc::rowsAndWhatIf);
        check("summaries", "", Jdbc::summaries);
        check("a batch of rows into a kept column", "", Jdbc::batches);
        check("a batch that the driver rewrites", "reWriteBatchedInserts=true", Jdbc::batches);
        check("a batch that fails", "", Jdbc::batchThatFails);
        check("COPY in and out", "", Jdbc::copying);
        check("errors with DETAIL and HINT", "", Jdbc::errors);
        check("cancel and setQueryTimeout", "", Jdbc::cancelling);
        check("transactions and savepoints that fail", "", Jdbc::transactions);
        check("autosave", "autosave=always", Jdbc::autosave);
        check("metadata of tables, views and functions", "", Jdbc::metadata);
        check("a notice is a warning", "", Jdbc::notices);
        System.out.println(passed + " passed, " + failed + " failed");
        System.exit(failed == 0 ? 0 : 1);
    }
}
