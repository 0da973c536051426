using System.Net.Sockets;
using System.Text;

namespace CaptionService.Benchmarks;

/// <summary>Clients that send a byte a second, beside one that does not.</summary>
internal static class SlowClients
{
    private const int Requests = 200;

    /// <summary>Whether the 99th percentile of the others stays within 10 % and 20 ms.</summary>
    /// <param name="clients">How many are slow.</param>
    public static async Task<bool> RunAsync(int clients)
    {
        using var service = await ServiceBenchmark.StartAsync();
        await ServiceBenchmark.LoadAsync(service.Client, 2, 50);      // warm
        double[] before = (await ServiceBenchmark.LoadAsync(service.Client, 2, Requests)).SortedMs;
        Program.Row("2 clients alone", Figures(before));

        using var stop = new CancellationTokenSource();
        int open = 0, bytes = 0;
        Task[] slow = [.. Enumerable.Range(0, clients).Select(_ => Task.Run(() => DribbleAsync(service.Client.BaseAddress!, () => Interlocked.Increment(ref open), () => Interlocked.Increment(ref bytes), stop.Token)))];
        while (open < clients)
            await Task.Delay(10);
        double[] beside = (await ServiceBenchmark.LoadAsync(service.Client, 2, Requests)).SortedMs;
        Program.Row($"beside {clients} slow ones ({bytes} bytes sent by them)", Figures(beside));
        await stop.CancelAsync();
        await Task.WhenAll(slow);
        double most = 1.1 * ServiceBenchmark.At(before, 0.99) + 20;
        Program.Row("p99 allowed", $"{most:F0} ms");
        return ServiceBenchmark.At(beside, 0.99) <= most;
    }

    private static string Figures(double[] latencies) => $"p50 {ServiceBenchmark.At(latencies, 0.5):F0} ms, p99 {ServiceBenchmark.At(latencies, 0.99):F0} ms";

    // The service ends a body that comes too slowly; who is ended comes again.
    private static async Task DribbleAsync(Uri address, Action opened, Action sent, CancellationToken stop)
    {
        bool first = true;
        while (!stop.IsCancellationRequested)
        {
            using var socket = new TcpClient();
            try
            {
                await socket.ConnectAsync(address.Host, address.Port, stop);
                NetworkStream stream = socket.GetStream();
                await stream.WriteAsync(Encoding.ASCII.GetBytes($"POST /captions HTTP/1.1\r\nHost: {address.Authority}\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\n\r\n"), stop);
                if (first)
                    opened();
                first = false;
                while (true)
                {
                    await stream.WriteAsync(new byte[] { 0xFF }, stop);
                    sent();
                    await Task.Delay(1000, stop);
                }
            }
            catch (Exception ended) when (ended is IOException or SocketException or OperationCanceledException)
            {
            }
        }
    }
}
