# SPDX-License-Identifier: Apache-2.0
# programs: java javac
# packages: default-jdk-headless
# seen: java
cat >Work.java <<'J'
import java.io.*;
import java.nio.ByteBuffer;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;
import java.util.zip.*;
public class Work {
    public static void main(String[] a) throws Exception {
        int times = a.length > 0 ? 40 : 2;
        ExecutorService pool = Executors.newFixedThreadPool(4);
        List<Future<Long>> sums = new ArrayList<>();
        for (int t = 0; t < times; t++) {
            final int n = t;
            sums.add(pool.submit(() -> {
                Map<String, Integer> words = new TreeMap<>();
                for (int i = 0; i < 50000; i++) words.merge("w" + (i * 7919 + n) % 5003, i, Integer::sum);
                CRC32 sum = new CRC32();
                sum.update(words.toString().getBytes());
                ByteBuffer direct = ByteBuffer.allocateDirect(1 << 20);
                while (direct.hasRemaining()) direct.put((byte) direct.position());
                direct.flip();
                sum.update(direct);
                ByteArrayOutputStream bytes = new ByteArrayOutputStream();
                try (GZIPOutputStream zip = new GZIPOutputStream(bytes)) { zip.write(words.toString().getBytes()); }
                sum.update(new GZIPInputStream(new ByteArrayInputStream(bytes.toByteArray())).readAllBytes());
                return sum.getValue();
            }));
        }
        for (Future<Long> sum : sums) System.out.println(sum.get());
        pool.shutdown();
        System.out.println(IntStream.range(0, 300000).parallel().mapToObj(Integer::toString).collect(Collectors.joining()).hashCode());
        Process child = new ProcessBuilder("ls", "/proc/self/fd").redirectErrorStream(true).start();
        System.out.println(new String(child.getInputStream().readAllBytes()) + child.waitFor());
        for (Closeable pipe : List.of(child.getInputStream(), child.getErrorStream(), child.getOutputStream()))
            pipe.close(); // who reaps the child would do it, sooner or later
        System.gc();
        System.out.println(new File("/proc/self/fd").list().length);
    }
}
J
if [ "$LONG" ]; then javac -d . Work.java && java -cp . Work long; else java -Xshare:auto -XX:TieredStopAtLevel=1 Work.java; fi
