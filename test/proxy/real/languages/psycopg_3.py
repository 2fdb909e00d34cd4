"""What an application does with psycopg 3, a line for each answer. Usage: psycopg_3.py HOST PORT"""
import sys
import threading
import psycopg
from psycopg.types.json import Json


def say(*what):
    print(*what, flush=True)


def sqlstate(act):
    try:
        act()
        return 'no error'
    except psycopg.Error as error:
        return error.sqlstate



def transaction(db, text):
    with db.transaction():
        db.execute(text)


where = f'host={sys.argv[1]} port={sys.argv[2]} user=app dbname=app application_name=twin'
with psycopg.connect(where, autocommit=True, prepare_threshold=1) as db:
    db.execute('create table if not exists p3 (id int primary key, t text, j jsonb, b bytea, a int[], at timestamptz)')
    db.execute('truncate p3')
    with db.cursor() as cursor:
        cursor.executemany(
            'insert into p3 values (%s, %s, %s, %s, %s, %s)',
            [(i, f'row {i}', Json({'i': i}), bytes([i]), [i, i + 1], '2024-02-29 12:00+00') for i in range(50)],
        )
    for binary in (False, True):
        for i in range(4):
            say(db.execute('select id, t, j, b, a from p3 where id = %s', (i,), binary=binary).fetchone())
    for i in range(4):
        db.execute('update p3 set t = %s where id = %s', (f'new {i}', i))
        say(db.execute('select t from p3 where id = %s', (i,)).fetchone())
    say(sqlstate(lambda: db.execute('select * from nowhere')))
    say(sqlstate(lambda: db.execute('insert into p3 (id) values (1)')))
    with db.transaction():
        db.execute('insert into p3 (id) values (1000)')
        try:
            with db.transaction():
                db.execute('insert into p3 (id) values (1001)')
                db.execute('insert into p3 (id) values (1)')
        except psycopg.errors.UniqueViolation as error:
            say(error.sqlstate)
        say(db.execute('select count(*) from p3 where id >= 1000').fetchone())
    db.read_only = True
    with db.transaction():
        say(db.execute('select count(*) from p3').fetchone(), db.execute('show transaction_read_only').fetchone())
    say(sqlstate(lambda: transaction(db, 'delete from p3')))
    db.read_only = None
    with db.pipeline() as pipeline:
        first = db.execute('select t from p3 where id = %s', (1,))
        db.execute('update p3 set t = %s where id = %s', ('piped', 2))
        second = db.execute('select t from p3 where id = %s', (2,))
        say(first.fetchone(), second.fetchone())
    try:
        with db.pipeline():
            db.execute('select 1')
            db.execute('select 1/0')
            db.execute('select 2')
    except psycopg.Error as error:
        say(error.sqlstate)
    say(db.execute('select 3').fetchone())
    with db.transaction(), db.cursor('held') as cursor:
        cursor.itersize = 7
        cursor.execute('select id from p3 order by id')
        say(sum(row[0] for row in cursor))
    with db.cursor() as cursor:
        with cursor.copy('copy (select id, t from p3 where id < 3 order by id) to stdout') as copy:
            say([row for row in copy.rows()])
        with cursor.copy('copy p3 (id, t) from stdin') as copy:
            for row in ((2000, 'two'), (2001, 'a\tb')):
                copy.write_row(row)
        say(cursor.execute('select id, t from p3 where id >= 2000 order by id').fetchall())

        def broken():
            with cursor.copy('copy p3 (id, t) from stdin') as copy:
                copy.write_row(('x', 'y'))

        say(sqlstate(broken))
    db.execute('alter table p3 add more int')
    say(len(db.execute('select * from p3 where id = %s', (1,)).fetchone()))
    db.execute('alter table p3 drop more')
    say(len(db.execute('select * from p3 where id = %s', (1,)).fetchone()))
    with psycopg.connect(where, autocommit=True) as listener:
        listener.execute('listen p3')
        db.execute("notify p3, 'hello'")
        for notice in listener.notifies():
            say(notice.channel, notice.payload)
            break
    timer = threading.Timer(0.3, db.cancel)
    timer.start()
    say(sqlstate(lambda: db.execute('select pg_sleep(20)')))
    timer.join()
    say(db.execute('select 1').fetchone(), db.info.transaction_status.name)
    say(db.info.parameter_status('TimeZone'), db.info.parameter_status('client_encoding'))
    db.execute("set time zone 'Asia/Tokyo'")
    say(db.info.parameter_status('TimeZone'), db.execute('show timezone').fetchone())

