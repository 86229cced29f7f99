# Perl's Net::FTP, told one step at a time:
#
#     perl session.pl HOST PORT CERT HOW STEP [NAME...]
#
# HOW is a list of words: passive or active, and clear, tls12 or tls13.
use strict;
use warnings;
use Net::FTP;

my ($host, $port, $cert, $how, $step, @names) = @ARGV;
my %how = map { $_ => 1 } split ' ', $how;
my $ftp = Net::FTP->new(
    $host,
    Port    => $port,
    Passive => $how{passive} ? 1 : 0,
    Timeout => 30,
    $how{clear} ? () : (
        SSL_ca_file => $cert,
        SSL_version => $how{tls12} ? 'TLSv1_2' : 'TLSv1_3',
    ),
) or die "connect: $@";

sub must { $_[0] or die "$step: ", $ftp->message }

if (!$how{clear}) {
    must($ftp->starttls);
    must($ftp->prot('P'));
}
must($ftp->login('skipper', 'weir'));
must($ftp->binary);
if    ($step eq 'list')   { print "$_\n" for $ftp->ls($names[0]), $ftp->dir($names[0]) }
elsif ($step eq 'send')   { must($ftp->put($_, $_)) for @names }
elsif ($step eq 'fetch')  { must($ftp->get($_, $_)) for @names }
elsif ($step eq 'resend') {
    open my $file, '<:raw', $names[0] or die $!;
    my $at = $ftp->size($names[0]);
    seek $file, $at, 0;
    must($ftp->restart($at) || 1);
    must($ftp->put($file, $names[0]));
}
elsif ($step eq 'refetch') { must($ftp->get($names[0], $names[0], -s $names[0])) }
elsif ($step eq 'remove')  { must($ftp->delete($names[0])) }
elsif ($step eq 'mkdir')   { must($ftp->mkdir($names[0])) }
elsif ($step eq 'rename')  { must($ftp->rename(@names)) }
else                       { die "no such step: $step" }
must($ftp->quit);
