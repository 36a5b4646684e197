# SPDX-License-Identifier: Apache-2.0
# programs: sqlite3
# packages: sqlite3
# seen: sqlite3
rows=$([ "$LONG" ] && echo 1000000 || echo 60000)
sqlite3 work.db <<SQL
.bail on
create table sample(id integer primary key, word text, value real, body blob);
begin;
with recursive n(i) as (select 1 union all select i + 1 from n where i < $rows)
insert into sample select i, printf('%08x', i * 2654435761 % 4294967296), i * 0.5, zeroblob(i % 300) from n;
commit;
create index by_word on sample(word);
select count(*), sum(value), sum(length(body)), min(word), max(word) from sample;
select substr(word, 1, 1) as first, count(*), group_concat(id % 7) from (select * from sample where id < 500 order by word)
group by first;
update sample set body = cast(word as blob) || body where id % 3 = 0;
delete from sample where id % 5 = 0;
vacuum;
select count(*), sum(length(body)) from sample;
select a.id, b.id from sample a join sample b on a.word < b.word and a.id = b.id + 1 order by a.word limit 20;
pragma integrity_check;
.shell ls /proc/\$PPID/fd
SQL
