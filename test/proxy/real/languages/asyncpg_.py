"""What an application does with asyncpg, a line for each answer. Usage: asyncpg_.py HOST PORT"""
import asyncio
import sys
import asyncpg


def say(*what):
    print(*what, flush=True)


async def sqlstate(act):
    try:
        await act
        return 'no error'
    except asyncpg.PostgresError as error:
        return error.sqlstate
    except asyncio.TimeoutError:
        return 'timeout'


async def main():
    where = {'host': sys.argv[1], 'port': int(sys.argv[2]), 'user': 'app', 'database': 'app', 'ssl': False}
    db = await asyncpg.connect(**where, server_settings={'application_name': 'twin', 'work_mem': '8MB'})
    await db.execute('create table if not exists ap (id int primary key, t text, b bytea, a int[], at timestamptz)')
    await db.execute('truncate ap')
    await db.executemany('insert into ap (id, t, b, a) values ($1, $2, $3, $4)', [(i, f'row {i}', bytes([i]), [i]) for i in range(50)])
    for i in range(4):
        say(dict(await db.fetchrow('select id, t, b, a from ap where id = $1', i)))
        await db.execute('update ap set t = $1 where id = $2', f'new {i}', i)
        say(await db.fetchval('select t from ap where id = $1', i))
    say(await db.fetchval('show work_mem'))
    say(await sqlstate(db.fetch('select * from nowhere')))
    say(await sqlstate(db.execute('insert into ap (id) values (1)')))
    statement = await db.prepare('select id from ap where id < $1 order by id')
    say([row['id'] for row in await statement.fetch(3)], [row['id'] for row in await statement.fetch(2)])
    async with db.transaction():
        await db.execute('insert into ap (id) values (1000)')
        try:
            async with db.transaction():
                await db.execute('insert into ap (id) values (1)')
        except asyncpg.UniqueViolationError as error:
            say(error.sqlstate)
        say(await db.fetchval('select count(*) from ap where id >= 1000'))
    async with db.transaction(readonly=True, isolation='repeatable_read'):
        say(await db.fetchval('select count(*) from ap'), await db.fetchval('show transaction_read_only'))
        total = 0
        async for row in db.cursor('select id from ap order by id', prefetch=7):
            total += row['id']
        say(total)
    say(await db.copy_records_to_table('ap', records=[(2000, 'two'), (2001, 'a\tb')], columns=['id', 't']))
    say([tuple(row) for row in await db.fetch('select id, t from ap where id >= 2000 order by id')])
    out = bytearray()

    async def take(data):
        out.extend(data)

    say(await db.copy_from_query('select id, t from ap where id < 3 order by id', output=take), bytes(out))
    await db.execute('alter table ap add more int')
    say(len(await db.fetchrow('select * from ap where id = 1')))
    await db.execute('alter table ap drop more')
    say(len(await db.fetchrow('select * from ap where id = 1')))
    heard = asyncio.Queue()
    listener = await asyncpg.connect(**where)
    await listener.add_listener('ap', lambda _, __, channel, payload: heard.put_nowait((channel, payload)))
    await db.execute("select pg_notify('ap', 'hello')")
    say(await asyncio.wait_for(heard.get(), 10))
    await listener.close()
    say(await sqlstate(db.execute('select pg_sleep(20)', timeout=0.3)))
    say(await db.fetchval('select 1'), db.is_in_transaction())
    await db.execute("set time zone 'Asia/Tokyo'")
    say(db.get_settings().TimeZone)
    await db.reset()
    say(await db.fetchval('show work_mem'))
    await db.close()
    async with asyncpg.create_pool(**where, min_size=2, max_size=5) as pool:
        say(sorted(await asyncio.gather(*(pool.fetchval('select $1::int * 2', i) for i in range(50)))))


asyncio.run(main())
