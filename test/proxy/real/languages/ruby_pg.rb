# What an application does with Ruby's pg, a line for each answer. Usage: ruby_pg.rb HOST PORT
require 'pg'

$stdout.sync = true

def sqlstate
  yield
  'no error'
rescue PG::Error => e
  e.result&.error_field(PG::Result::PG_DIAG_SQLSTATE)
end

where = { host: ARGV[0], port: ARGV[1], user: 'app', dbname: 'app', application_name: 'twin' }
db = PG.connect(**where)
db.exec('set client_min_messages to warning')
db.exec("set standard_conforming_strings = on; set session timezone to 'UTC'")
db.exec('create table if not exists rb (id int primary key, t text)')
db.exec('truncate rb')
db.prepare('put', 'insert into rb values ($1, $2)')
50.times { |i| db.exec_prepared('put', [i, "row #{i}"]) }
4.times do |i|
  db.exec_params('update rb set t = $1 where id = $2', ["new #{i}", i])
  p db.exec_params('select id, t from rb where id = $1', [i]).to_a
end
p sqlstate { db.exec('select * from nowhere') }
p sqlstate { db.exec_prepared('put', [1, 'again']) }
db.transaction do |c|
  c.exec('insert into rb values (1000)')
  c.exec('savepoint s')
  p sqlstate { c.exec('insert into rb values (1)') }
  c.exec('rollback to s')
  p c.exec('select count(*) from rb where id >= 1000').values
end
db.exec('begin read only')
p db.exec('select count(*) from rb').values, db.exec('show transaction_read_only').values
p sqlstate { db.exec('delete from rb') }
db.exec('rollback')
db.copy_data('copy rb from stdin') do
  db.put_copy_data("2000\ttwo\n")
  db.put_copy_data("2001\tthree\n")
end
lines = []
db.copy_data('copy (select * from rb where id >= 2000 order by id) to stdout') do
  while (line = db.get_copy_data) do lines << line end
end
p lines
db.send_query('select id from rb where id < 5 order by id')
db.set_single_row_mode
rows = []
while (result = db.get_result)
  rows.concat(result.values)
end
p rows
db.exec('deallocate put')
p sqlstate { db.exec_prepared('put', [1, 'gone']) }
listener = PG.connect(**where)
listener.exec('listen rb')
db.exec("notify rb, 'hello'")
listener.wait_for_notify(10) { |channel, _, payload| p [channel, payload] }
listener.close
Thread.new { sleep 0.3; db.cancel }
p sqlstate { db.exec('select pg_sleep(20)') }
p db.exec('select 1').values, db.transaction_status == PG::PQTRANS_IDLE
db.close
