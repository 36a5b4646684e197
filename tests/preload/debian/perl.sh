# SPDX-License-Identifier: Apache-2.0
# programs: perl
# packages: perl
# seen: perl
perl -MDigest::SHA -e 1 2>/dev/null || exit 77 # a minimal system has perl without its modules
LONG=$LONG perl -w -Mstrict <<'P'
use Digest::SHA 'sha256_hex';
my $times = $ENV{LONG} ? 20 : 1;
my $text = join '', map { chr(97 + $_ * 7919 % 26) . ($_ % 9 ? '' : "\n") } 1 .. 200000;
for (1 .. $times) {
    my (%count, @lines);
    $count{$_}++ for $text =~ /\w{2,5}/g;
    @lines = sort { $a cmp $b } map { scalar reverse } split /\n/, $text;
    print sha256_hex(join ' ', map { "$_=$count{$_}" } sort keys %count), ' ', sha256_hex("@lines"), "\n";
    my $tree = {};
    for my $i (1 .. 20000) { my $at = $tree; $at = $at->{$_} //= {} for split //, $i * 31; }
    my ($nodes, @open) = (0, $tree);
    while (my $at = pop @open) { $nodes++; push @open, values %$at }
    print "$nodes\n";
}
for my $child (1 .. 3) {
    defined(my $pid = fork) or die;
    if (!$pid) { my $x = join '', map { $_ x 1000 } 1 .. 1000; exit length($x) % 251 }
    waitpid $pid, 0;
    print 'child ', $? >> 8, "\n";
}
opendir my $folder, '/proc/self/fd' or die;
print join(' ', sort readdir $folder), "\n";
P
