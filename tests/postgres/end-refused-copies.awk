# From the expected output of one of PostgreSQL's tests and its SQL: the SQL with an end-of-data mark after each COPY FROM
# STDIN that the server refuses. A late minor release of 15 taught psql to pass over everything up to that mark then. The
# tests of earlier ones have none, and what comes after the COPY would be lost.
# Usage: awk -f end-refused-copies.awk expected/NAME.out sql/NAME.sql
function copies(line) { return tolower(line) ~ /^copy .*from stdin.*;/ }

# A test that was right before has the mark where there are data to end.
function has_data(at) {
    while (++at <= lines && sql[at] != "\\." && sql[at] !~ /;/) {}
    return sql[at] == "\\."
}

FNR == 1 { file++ }
file == 2 { sql[++lines] = $0; next }
copies($0) { copy++; waits = 1; next }
waits && /^ERROR:/ { refused[copy] = 1 }
# It came to reading data.
waits && /^CONTEXT:  COPY/ { refused[copy] = 0 }
!/^(NOTICE|WARNING|ERROR|DETAIL|HINT|LINE|CONTEXT| )/ { waits = 0 }

END {
    for (at = 1; at <= lines; at++) {
        print sql[at]
        if (copies(sql[at]) && refused[++met] && !has_data(at)) print "\\."
    }
}
