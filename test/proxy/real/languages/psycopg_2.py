"""What an application does with psycopg2, a line for each answer. Usage: psycopg_2.py HOST PORT"""
import sys
import threading
import psycopg2
import psycopg2.extras
from psycopg2 import extensions


def say(*what):
    print(*what, flush=True)


def sqlstate(act):
    try:
        act()
        return 'no error'
    except psycopg2.Error as error:
        return error.pgcode


where = {'host': sys.argv[1], 'port': sys.argv[2], 'user': 'app', 'dbname': 'app', 'application_name': 'twin'}
db = psycopg2.connect(**where)
with db, db.cursor() as cursor:
    cursor.execute('create table if not exists p2 (id int primary key, t text, j jsonb, b bytea, n numeric, at timestamptz)')
    cursor.execute('truncate p2')
    psycopg2.extras.execute_values(
        cursor,
        'insert into p2 values %s',
        [(i, f'row {i}', psycopg2.extras.Json({'i': i}), bytes([i]), i / 4, '2024-02-29 12:00+00') for i in range(50)],
    )
with db, db.cursor() as cursor:
    cursor.execute('select id, t, j, n, at from p2 where id < %s order by id', (3,))
    say(cursor.fetchall(), [column.name for column in cursor.description])
    cursor.execute('select b from p2 where id = 7')
    say(bytes(cursor.fetchone()[0]))
db.set_session(readonly=True)
with db, db.cursor() as cursor:
    cursor.execute('select count(*) from p2')
    say(cursor.fetchone())
    cursor.execute('show transaction_read_only')
    say(cursor.fetchone())
say(sqlstate(lambda: db.cursor().execute('delete from p2')))
db.rollback()
db.set_session(readonly=False, autocommit=True)
with db.cursor() as cursor:
    for i in range(5):
        cursor.execute('update p2 set t = %s where id = %s', (f'new {i}', i))
        cursor.execute('select t from p2 where id = %s', (i,))
        say(cursor.fetchone(), cursor.rowcount, cursor.statusmessage)
say(sqlstate(lambda: db.cursor().execute('select * from nowhere')))
say(sqlstate(lambda: db.cursor().execute('insert into p2 (id) values (1)')))
db.autocommit = False
with db.cursor('held', withhold=False) as cursor:
    cursor.itersize = 7
    cursor.execute('select id from p2 order by id')
    say(sum(row[0] for row in cursor))
db.commit()
with db.cursor() as cursor:
    cursor.execute('insert into p2 (id) values (1000)')
    cursor.execute('savepoint s')
    say(sqlstate(lambda: cursor.execute('insert into p2 (id) values (1)')))
    cursor.execute('rollback to savepoint s')
    cursor.execute('select count(*) from p2 where id >= 1000')
    say(cursor.fetchone())
db.rollback()
with db, db.cursor() as cursor:
    import io

    out = io.StringIO()
    cursor.copy_expert('copy (select id, t from p2 where id < 3 order by id) to stdout with csv', out)
    say(repr(out.getvalue()))
    cursor.copy_expert('copy p2 (id, t) from stdin with csv', io.StringIO('2000,two\n2001,"a,b"\n'))
    cursor.execute('select id, t from p2 where id >= 2000 order by id')
    say(cursor.fetchall())
db.set_client_encoding('LATIN1')
with db, db.cursor() as cursor:
    cursor.execute("select 'ä', %s", ('ö',))
    say(cursor.fetchone())
db.set_client_encoding('UTF8')
db.autocommit = True
listener = psycopg2.connect(**where)
listener.autocommit = True
with listener.cursor() as cursor:
    cursor.execute('listen p2')
with db.cursor() as cursor:
    cursor.execute("notify p2, 'hello'")
for _ in range(100):
    with listener.cursor() as cursor:
        cursor.execute('select pg_sleep(0.02)')
    listener.poll()
    if listener.notifies:
        break
say([(each.channel, each.payload) for each in listener.notifies])
listener.close()
timer = threading.Timer(0.3, db.cancel)
timer.start()
say(sqlstate(lambda: db.cursor().execute('select pg_sleep(20)')))
timer.join()
with db.cursor() as cursor:
    cursor.execute('select 1')
    say(cursor.fetchone(), db.get_transaction_status() == extensions.TRANSACTION_STATUS_IDLE)
    cursor.execute('select g, repeat(%s, 2000) from generate_series(1, 3000) g', ('x',))
    say(sum(len(row[1]) for row in cursor))
db.close()
